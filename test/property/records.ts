import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Http2ServerResponse } from 'node:http2'
import type { TaskRun, TaskState } from '../../lib/index'
import type { RequestPlan, TaskPlan } from './program'

/** A status that a reply may be decided by; `none`: settled before it came to one, which is an error. */
export type Status = number | 'none'
/** What is known of a condition from outside. */
export type Condition = 'always' | 'success' | 'error' | 'never' | 'throws'

const NEXT: Readonly<Record<TaskState, readonly TaskState[]>> = {
  queued: ['active', 'completed', 'failed', 'discarded', 'cancelled'],
  active: ['completed', 'failed', 'cancelled'],
  completed: [],
  failed: [],
  discarded: [],
  cancelled: []
}

/** What the model knows of one run. */
export class RunRecord {
  /** Known at once for a task added by a call, for a route's from its start. */
  run: TaskRun | undefined
  starts = 0
  /** Why it must not start, once that is so. */
  barred: string | undefined
  /** What its function threw. */
  thrown: unknown
  #seen: TaskState = 'queued'

  constructor (readonly label: string, readonly plan: TaskPlan, readonly entry: EntryRecord) {}

  get isFinal (): boolean {
    return this.run !== undefined && NEXT[this.run.state].length === 0
  }

  /** Looks at its state. @returns what is wrong with the way that it took there. */
  look (): string | undefined {
    const state = this.run?.state
    if (state === undefined || state === this.#seen) return undefined
    const from = this.#seen
    this.#seen = state
    return NEXT[from].includes(state) ? undefined : `went from ${from} to ${state}`
  }
}

/** One place in an order: a run alone, or a group. */
export class EntryRecord {
  readonly runs: RunRecord[] = []
  /** When it was accepted at the latest, on the model's clock. */
  to = 0

  constructor (
    /** The reply that it belongs to; `null` outside a request. */
    readonly owner: ReplyRecord | null,
    readonly condition: Condition,
    readonly concurrency: number,
    readonly stops: boolean,
    /** The call that it was accepted with. */
    readonly batch: number,
    /** When it was accepted at the earliest. */
    readonly from: number
  ) {}

  /** Accepted before another one, for certain. */
  isBefore (other: EntryRecord): boolean {
    return this.batch === other.batch ? this.from < other.from : this.to < other.from
  }
}

/** What the model knows of one request and its reply. */
export class ReplyRecord {
  request: FastifyRequest | undefined
  reply: FastifyReply | undefined
  /** The runs of the route's tasks, in the order of the declaration. */
  readonly routeEntries: EntryRecord[] = []
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
