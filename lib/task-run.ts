import { AsyncResource } from 'node:async_hooks'
import { randomUUID } from 'node:crypto'
import type { FastifyBaseLogger } from 'fastify'
import type { Linked } from './chain'
import type { Startable } from './dispatcher'
import { execute, type Executable } from './execute'
import type { Ledger } from './ledger'
import { reportAbort, reportFailure } from './report'
import { RunContext } from './task-context'
import type { BackgroundOptions, TaskFunction, TaskRun, TaskState, When } from './types'

/** What a run needs of the application that it belongs to. */
export interface RunHome {
  readonly ledger: Ledger
  readonly onTaskError: BackgroundOptions['onTaskError']
  /** Throws `FST_ERR_BACKGROUND_CLOSED` after the application has closed. */
  assertOpen (task: string): void
}

/** Who has a run in its order: a reply's queue, a group, or the application. */
export interface RunOwner {
  readonly log: FastifyBaseLogger
  /** Called once for each run, when it is in a final state and that has been reported. */
  ended (run: Run): void
}

/** What a run lets go of at its end (R6). */
interface Work {
  readonly owner: RunOwner
  readonly fn: TaskFunction<never[]>
  readonly args: readonly unknown[]
}

/** One run and its states. */
export class Run implements TaskRun, Startable, Linked, Executable {
  previous: Linked | null = null
  next: Linked | null = null
  readonly name: string
  readonly queuedAt = Date.now()
  /** On which replies it runs. */
  readonly when: When
  readonly #home: RunHome
  #work: Work | null
  // The async context of the place that added it (R4). Its own: what one task enters, the next is not to see.
  #scope: AsyncResource | null = null
  #state: TaskState = 'queued'
  #id: string | undefined
  #startedAt: number | undefined
  #finishedAt: number | undefined
  #error: unknown
  #result: unknown
  #finished: Promise<TaskRun> | undefined
  #resolveFinished: ((run: TaskRun) => void) | undefined

  /** @param unbound Whether it will be bound to an async context later. */
  constructor (
    home: RunHome, owner: RunOwner, fn: TaskFunction<never[]>, args: readonly unknown[], when: When, unbound = false
  ) {
    this.name = nameOf(fn)
    home.assertOpen(this.name)
    this.when = when
    this.#home = home
    this.#work = { owner, fn, args }
    if (!unbound) this.bind()
    home.ledger.accept()
  }

  get id (): string {
    if (this.#id === undefined) {
      this.#id = randomUUID()
      if (this.#work !== null) this.#home.ledger.remember(this.#id, this)
    }
    return this.#id
  }

  get state (): TaskState {
    return this.#state
  }

  get attempt (): number {
    return this.#startedAt === undefined ? 0 : 1
  }

  get error (): unknown {
    return this.#error
  }

  get result (): unknown {
    return this.#result
  }

  get startedAt (): number | undefined {
    return this.#startedAt
  }

  get finishedAt (): number | undefined {
    return this.#finishedAt
  }

  finished (): Promise<TaskRun> {
    this.#finished ??= this.#work === null
      ? Promise.resolve(this)
      : new Promise((resolve) => { this.#resolveFinished = resolve })
    return this.#finished
  }

  /** Gives the run the async context of this place. */
  bind (): void {
    this.#scope = new AsyncResource('BackgroundTask')
  }

  /** Runs something on behalf of the task, in the task's async context. */
  within<T> (fn: () => T): T {
    return this.#scope!.runInAsyncScope(fn)
  }

  start (): void {
    // Shutdown may have come between the dispatcher's taking it in and its turn.
    if (this.#state !== 'queued') return
    this.#home.ledger.start()
    this.#state = 'active'
    this.#startedAt = Date.now()
    this.#scope!.runInAsyncScope(execute, undefined, this)
  }

  call (): unknown {
    const { fn, args, owner } = this.#work!
    return fn.apply(new RunContext(this, owner.log), args as never[])
  }

  complete (result: unknown): void {
    if (this.#work === null) return
    this.#result = result
    this.#end('completed').ended(this)
  }

  fail (error: unknown): void {
    if (this.#work === null) return
    this.#error = error
    const owner = this.#end('failed')
    reportFailure(this, owner.log, this.#home.onTaskError)
    owner.ended(this)
  }

  /** Its condition was not met, or its group stopped. */
  discard (): void {
    this.#end('discarded').ended(this)
  }

  /** Shutdown does not wait longer. A function that is still at work is let go; what becomes of it is ignored. */
  abort (): void {
    const owner = this.#end(this.#state === 'active' ? 'cancelled' : 'discarded')
    reportAbort(this, owner.log)
    owner.ended(this)
  }

  #end (state: 'completed' | 'failed' | 'discarded' | 'cancelled'): RunOwner {
    const { owner } = this.#work!
    const { ledger } = this.#home
    const from = this.#state as 'queued' | 'active'
    this.#state = state
    this.#finishedAt = Date.now()
    this.#work = null
    this.#scope = null
    if (this.#id !== undefined) ledger.forget(this.#id)
    ledger.finish(from, state)
    this.#resolveFinished?.(this)
    return owner
  }
}

/** The name that a task goes by. */
export function nameOf (fn: Function): string {
  // A function's name may have been redefined as anything, as a getter that throws even.
  try {
    if (typeof fn.name === 'string' && fn.name !== '') return fn.name
  } catch {}
  return 'anonymous'
}
