import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Http2ServerResponse } from 'node:http2'
import type { TaskContext, TaskRun, TaskState } from '../../lib/index'
import type { PolicyPlan, RequestPlan, TaskPlan } from './program'

/** A status that a reply may be decided by; `none`: settled before it came to one, which is an error. */
export type Status = number | 'none'
/** What is known of a condition from outside. */
export type Condition = 'always' | 'success' | 'error' | 'never' | 'throws'

const FINAL: readonly TaskState[] = ['completed', 'failed', 'cancelled']

// From one look to the next: those in between may have been missed.
const NEXT: Readonly<Record<TaskState, readonly TaskState[]>> = {
  queued: ['active', 'retrying', 'discarded', ...FINAL],
  active: ['retrying', ...FINAL],
  retrying: ['active', ...FINAL],
  completed: [],
  failed: [],
  discarded: [],
  cancelled: [],
  stored: []
}

// Those in which a run has an error.
const FAULTY: readonly TaskState[] = ['retrying', 'failed', 'discarded', 'cancelled']

/** What the model knows of one run. */
export class RunRecord {
  /** Set when it is accepted: until then there is nothing to ask it. */
  run!: TaskRun
  readonly attempts: AttemptRecord[] = []
  /** Set when a call has cancelled it. */
  cancelled: { readonly reason: unknown } | undefined
  #seen: TaskState = 'queued'
  #attempt = 0

  constructor (
    readonly label: string,
    readonly plan: TaskPlan,
    readonly policy: Required<PolicyPlan>,
    readonly entry: EntryRecord
  ) {}

  get isAccepted (): boolean {
    return this.run !== undefined
  }

  get isFinal (): boolean {
    return NEXT[this.run.state].length === 0
  }

  get hasStarted (): boolean {
    return this.attempts.length > 0
  }

  /** Started, and not over: it may be between two attempts. */
  get isUnderWay (): boolean {
    return this.hasStarted && !this.isFinal
  }

  /** Looks at it. @returns what is wrong with it, or with the way that it took there. */
  look (): string | undefined {
    const { state, attempt, error } = this.run
    const from = this.#seen
    const before = this.#attempt
    this.#seen = state
    this.#attempt = attempt
    if (state !== from && !NEXT[from].includes(state)) return `went from ${from} to ${state}`
    if (attempt < before || (attempt > before && NEXT[from].length === 0)) return `went from attempt ${before} to ${attempt}`
    if (error !== undefined && !FAULTY.includes(state)) return `is ${state}, with an error: ${String(error)}`
    return undefined
  }
}

/** What the model knows of one attempt of a run. */
export class AttemptRecord {
  /** What its function came to while it counted. */
  outcome: { readonly result: unknown } | { readonly error: unknown } | undefined
  /** What its function returned to be added. */
  returned: readonly RunRecord[] = []
  /** There is to be another. */
  isRetried = false
  /** A call has cancelled its run while it was at work. */
  isCancelled = false

  constructor (readonly record: RunRecord, readonly number: number, readonly context: TaskContext) {}

  get label (): string {
    return `${this.record.label}#${this.number}`
  }

  /** Whether its run is still at it. */
  get isCurrent (): boolean {
    const { state, attempt } = this.record.run
    return state === 'active' && attempt === this.number
  }
}

/** One place in an order: a run alone, or a group. */
export class EntryRecord {
  readonly runs: RunRecord[] = []
  /** Its place in the order of acceptance, from 1; 0 before that. */
  at = 0

  constructor (
    /** The reply that it belongs to; `null` outside a request. */
    readonly owner: ReplyRecord | null,
    readonly condition: Condition,
    readonly concurrency: number,
    readonly stops: boolean,
    /** The attempt that returned it. */
    readonly by: AttemptRecord | undefined
  ) {}
}

/** What the model knows of one request and its reply. */
export class ReplyRecord {
  request: FastifyRequest | undefined
  reply: FastifyReply | undefined
  /** The runs of the route's tasks, accepted or not. */
  routeRuns: readonly RunRecord[] = []
  /** There was no room for its tasks: it gets a 503. */
  isRefused = false
  /** The whole answer has been handed over. */
  complete = false
  /** What its conditions may be decided by, from what the handler did and when. */
  readonly statuses = new Set<Status>()
  #finished = false

  constructor (readonly index: number, readonly plan: RequestPlan) {}

  /** The server has seen the request. */
  attach (request: FastifyRequest, reply: FastifyReply): void {
    this.request = request
    this.reply = reply
    reply.raw.once('finish', () => { this.#finished = true })
  }

  /** How many of the route's tasks have not been accepted. */
  get missing (): number {
    return this.routeRuns.filter(({ isAccepted }) => !isAccepted).length
  }

  /** The client has left, or the connection was given up. */
  get isGone (): boolean {
    const { raw } = this.reply!
    const { stream } = raw as unknown as Partial<Http2ServerResponse>
    return raw.destroyed || (stream ?? this.request!.raw.socket).destroyed
  }

  /** It has ended, and its handler has not come to a status. */
  get isUndecided (): boolean {
    return this.reply !== undefined && this.statuses.size === 0 && this.isGone
  }

  /** Its last byte has been handed to the operating system. */
  get isFinished (): boolean {
    return this.#finished || this.reply!.raw.writableFinished
  }
}
