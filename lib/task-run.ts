import { AsyncResource } from 'node:async_hooks'
import { randomUUID } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import { inspect } from 'node:util'
import type { FastifyBaseLogger } from 'fastify'
import { Attempt, type AttemptHost } from './attempt'
import { retryDelay } from './backoff'
import type { Linked } from './chain'
import { fromEpoch, now, toEpoch } from './clock'
import { callOutside } from './context-storage'
import { definedBy, functionOf, kFunction, type Defined } from './defined'
import type { DurableTasks } from './durable-tasks'
import { FST_ERR_BACKGROUND_CLOSED, FST_ERR_BACKGROUND_NO_ENGINE, FST_ERR_BACKGROUND_TASK_TIMEOUT } from './errors'
import {
  publishCancelled, publishDiscarded, publishFinished, publishProgress, publishRetrying, publishTaken, traceAttempt
} from './events'
import type { HeldBack } from './held-back'
import type { Ledger } from './ledger'
import type { ResolvedPolicy } from './policy'
import { reportCancel, reportFailure, reportRetry, reportShutdown } from './report'
import type { Slots, Standing } from './slots'
import { nameOf } from './task'
import type { AppBackground, BackgroundOptions, TaskFunction, TaskProgress, TaskRun, TaskState, When } from './types'

/** What a run needs of the application that it belongs to. */
export interface RunHome extends AppBackground {
  readonly ledger: Ledger
  readonly slots: Slots
  readonly onTaskError: BackgroundOptions['onTaskError']
  /** `null` where tasks run by themselves. */
  readonly held: HeldBack | null
  /** `null` without an engine. */
  readonly durable: DurableTasks | null
  /** The policy of a definition in this application; of a plain function, where there is none. */
  policyOf (defined: Defined | undefined): ResolvedPolicy
  /**
   * Asks whether there is room for so many runs, the first of them of this function.
   *
   * @throws `FST_ERR_BACKGROUND_CLOSED` or `FST_ERR_BACKGROUND_QUEUE_FULL`.
   */
  admit (runs: number, first: Function): void
}

/** Who has a run in its order: a reply's queue, a group, or the application. */
export interface RunOwner {
  readonly log: FastifyBaseLogger
  /** The next attempt of a run is due: starts the run in its turn, with a slot. */
  due (run: Run): void
  /** Called once for each run, when it is over here and that has been reported. */
  ended (run: Run): void
}

/** One run and its states. */
export class Run implements TaskRun, Standing, Linked, AttemptHost {
  previous: Linked | null = null
  next: Linked | null = null
  readonly name: string
  readonly #home: RunHome
  readonly #defaultWhen: When
  readonly #queued: number
  // What it lets go of at its end (R6); without an owner it is over. A condition may hold anything.
  #policy: ResolvedPolicy | null
  #owner: RunOwner | null
  #fn: TaskFunction<never[]> | null
  #args: readonly unknown[] | null
  // The async context of the place that added it (R4). Its own: what one task enters, the next is not to see.
  #scope: AsyncResource | null = null
  #state: TaskState = 'queued'
  #attempts = 0
  // While it is active.
  #attempt: Attempt | null = null
  // Of the attempt's time-out, or of the wait for the next attempt.
  #timer: NodeJS.Timeout | null = null
  #id: string | undefined
  #started: number | undefined
  #ended: number | undefined
  #progress: TaskProgress | undefined
  #error: unknown
  #result: unknown
  #finished: Promise<TaskRun> | undefined
  #resolveFinished: ((run: TaskRun) => void) | undefined

  /**
   * @param when On which replies it runs, if its policy does not say.
   * @param unbound Whether it will be bound to an async context later.
   * @param known Of a run that is not new everywhere.
   */
  constructor (
    home: RunHome, owner: RunOwner, fn: TaskFunction<never[]>, args: readonly unknown[], when: When, unbound = false,
    known?: { readonly id: string, readonly queuedAt: number }
  ) {
    const defined = definedBy(fn)
    this.name = nameOf(fn)
    this.#home = home
    this.#policy = home.policyOf(defined)
    this.#defaultWhen = when
    this.#owner = owner
    this.#fn = functionOf(fn, defined)
    this.#args = args
    if (!unbound) this.bind()
    home.ledger.accept()
    this.#queued = known === undefined ? now() : fromEpoch(known.queuedAt)
    if (known !== undefined) {
      this.#id = known.id
      home.ledger.remember(known.id, this)
    }
  }

  get id (): string {
    if (this.#id === undefined) {
      this.#id = randomUUID()
      if (!this.isOver) this.#home.ledger.remember(this.#id, this)
    }
    return this.#id
  }

  /** Its id, if somebody has read it. */
  get knownId (): string | undefined {
    return this.#id
  }

  /** On which replies it runs. */
  get when (): When {
    return this.#policy?.when ?? this.#defaultWhen
  }

  get state (): TaskState {
    return this.#state
  }

  get attempt (): number {
    return this.#attempts
  }

  get progress (): TaskProgress | undefined {
    return this.#progress
  }

  get error (): unknown {
    return this.#error
  }

  get result (): unknown {
    return this.#result
  }

  get queuedAt (): number {
    return toEpoch(this.#queued)
  }

  get startedAt (): number | undefined {
    return this.#started === undefined ? undefined : toEpoch(this.#started)
  }

  get finishedAt (): number | undefined {
    return this.#ended === undefined ? undefined : toEpoch(this.#ended)
  }

  /** What its function is called with; `null` where it is over (R6). */
  get args (): readonly unknown[] | null {
    return this.#args
  }

  /** Whether it has had a turn. */
  get hasStarted (): boolean {
    return this.#started !== undefined
  }

  get isDurable (): boolean {
    return false
  }

  /** What goes with a durable one to wherever it runs. */
  get meta (): Record<string, string> | undefined {
    return undefined
  }

  /** Whether it need not stand in line for a slot. */
  leave (): boolean {
    return this.isOver
  }

  /** Whether it is over, as far as this process knows. */
  get isOver (): boolean {
    return this.#owner === null
  }

  finished (): Promise<TaskRun> {
    if (this.isOver) return Promise.resolve(this)
    this.#finished ??= new Promise((resolve) => { this.#resolveFinished = resolve })
    return this.#finished
  }

  stored (): Promise<TaskRun> {
    return Promise.reject(new FST_ERR_BACKGROUND_NO_ENGINE(this.name, 'is not durable: it is not stored'))
  }

  cancel (reason?: unknown): boolean {
    if (this.#owner === null) return false
    const { log } = this.#owner
    // The platform's default, where there is no reason.
    this.giveUp('cancelled', AbortSignal.abort(reason).reason, () => reportCancel(this, log))
    return true
  }

  toJSON (): object {
    const { id, name, state, attempt, progress, queuedAt, startedAt, finishedAt } = this
    return { id, name, state, attempt, progress, queuedAt, startedAt, finishedAt }
  }

  [inspect.custom] (): object {
    return this.toJSON()
  }

  /** Gives the run the async context of this place. */
  bind (): void {
    if (this.isOver) return
    // This place may be a task, whose context is not the run's own.
    this.#scope = callOutside(newScope)
  }

  /** Runs something on behalf of the task, in the task's async context. */
  within<T> (fn: () => T): T {
    return this.#scope!.runInAsyncScope(fn)
  }

  /** Moves it to another owner. @returns the one that it had. */
  protected moveTo (owner: RunOwner): RunOwner {
    const before = this.#owner!
    this.#owner = owner
    return before
  }

  /** An engine has brought it, perhaps once more. */
  protected reopen (owner: RunOwner): void {
    this.#owner = owner
    if (this.#scope === null) this.bind()
    if (this.#state === 'stored') {
      this.#move('queued')
      this.#home.ledger.remember(this.id, this)
      this.#finished = this.#resolveFinished = undefined
    }
    publishTaken(this.#home, this)
  }

  /** Has its next attempt started in a later turn, with what an engine has brought. */
  protected resume (owner: RunOwner, defined: Defined, args: readonly unknown[], attempt: number, retries: number): void {
    this.reopen(owner)
    this.#fn = defined[kFunction].fn
    this.#args = args
    this.#attempts = attempt - 1
    this.#policy = { ...this.#home.policyOf(defined), retries }
    owner.due(this)
  }

  /** Its turn, with a slot: starts the next attempt. */
  start (time: number): void {
    // It may have been ended while it stood in line.
    if (this.#owner === null || this.#attempt !== null) {
      this.#home.slots.release()
      return
    }
    this.#move('active')
    this.#attempts++
    // In the turn in which it was added, the clock may have gone on since the turn began.
    this.#started ??= Math.max(time, this.#queued)
    this.#error = undefined
    this.#progress = undefined
    const attempt = this.#attempt = new Attempt(this, this.#owner.log, traceAttempt(this.#home, this))
    const { timeout, retries } = this.#policy!
    // Up to Node 22, `enterWith` changes the scope that it is called in: the next attempt is not to see that.
    const scope = retries === 0 ? this.#scope! : this.within(() => new AsyncResource('BackgroundTask'))
    // Not the time of day, which may be set meanwhile.
    const began = timeout > 0 ? performance.now() : 0
    scope.runInAsyncScope(Attempt.start, undefined, attempt, this.#fn!, this.#args!)
    // What the function has taken until it returned counts.
    if (timeout > 0 && this.isAt(attempt) && !Attempt.isPaused(attempt)) this.#limit(attempt, timeout + began - performance.now())
  }

  isAt (attempt: Attempt): boolean {
    return attempt === this.#attempt
  }

  resumed (attempt: Attempt): void {
    if (this.isAt(attempt) && this.#policy!.timeout > 0) this.#limit(attempt, this.#policy!.timeout)
  }

  progressed (attempt: Attempt, progress: TaskProgress): void {
    if (!this.isAt(attempt)) return
    this.#progress = progress
    publishProgress(this.#home, this, progress)
  }

  completed (attempt: Attempt, result: unknown): void {
    if (!this.isAt(attempt)) return
    this.#result = result
    this.end('completed').ended(this)
  }

  failed (attempt: Attempt, error: unknown, final = false): void {
    if (!this.isAt(attempt)) return
    const delay = final ? undefined : retryDelay(this.#policy!, this.#attempts, error)
    if (delay === undefined) this.fail(error)
    else this.retry(error, delay)
  }

  /** Its last attempt failed, or its condition threw. */
  fail (error: unknown): void {
    this.#error = error
    const owner = this.end('failed')
    reportFailure(this, owner.log, this.#home.onTaskError)
    owner.ended(this)
  }

  /** Its condition was not met, or its group stopped. */
  discard (): void {
    if (this.isOver) return
    const scope = this.#scope!
    const owner = this.end('discarded')
    scope.runInAsyncScope(publishDiscarded, undefined, this.#home, this)
    owner.ended(this)
  }

  /** Shutdown does not wait longer. A function that is still at work is let go; what becomes of it is ignored. */
  abort (): void {
    if (this.#owner === null) return
    const { log } = this.#owner
    const was = this.#state as 'queued' | 'active' | 'retrying'
    const state = was === 'queued' ? 'discarded' : 'cancelled'
    this.giveUp(state, new FST_ERR_BACKGROUND_CLOSED(this.name, state), () => reportShutdown(this, was, log))
  }

  /** Ends it before it is done. */
  protected giveUp (state: 'cancelled' | 'discarded' | 'stored', reason: unknown, report: () => void): void {
    const attempt = this.#attempt
    const scope = this.#scope
    this.#error = reason
    const owner = this.end(state)
    if (state === 'cancelled') publishCancelled(this.#home, this)
    else if (state === 'discarded') publishDiscarded(this.#home, this)
    report()
    owner.ended(this)
    // The last: what listens to the signal is not ours.
    if (attempt !== null) scope!.runInAsyncScope(Attempt.abort, undefined, attempt, reason)
  }

  #limit (attempt: Attempt, delay: number): void {
    // A timer holds the stores of the place that sets it: these are to be the run's own.
    this.#timer = this.within(() => setTimeout(() => this.#timeOut(attempt), Math.max(1, Math.ceil(delay))))
  }

  #timeOut (attempt: Attempt): void {
    const error = new FST_ERR_BACKGROUND_TASK_TIMEOUT(this.name, this.#policy!.timeout)
    this.failed(attempt, error)
    Attempt.abort(attempt, error)
  }

  protected retry (error: unknown, delay: number): void {
    const { log } = this.#owner!
    this.#error = error
    this.#leave('retrying')
    // A subscriber may have cancelled it.
    if (this.isOver) return
    this.awaitRetry(delay)
    reportRetry(this, log, delay)
    publishRetrying(this.#home, this, delay)
  }

  /** Sees to it that the next attempt starts after so many milliseconds. */
  protected awaitRetry (delay: number): void {
    this.#timer = setTimeout(() => this.#owner!.due(this), delay)
  }

  protected end (state: 'completed' | 'failed' | 'discarded' | 'cancelled' | 'stored'): RunOwner {
    const owner = this.#owner!
    if (state !== 'stored') this.#ended = now()
    this.#owner = this.#policy = this.#fn = this.#args = this.#scope = null
    if (this.#id !== undefined) this.#home.ledger.forget(this.#id, this)
    this.#leave(state)
    this.#resolveFinished?.(this)
    // Up to Node 22, a promise holds the stores of the place that it was made in (R6).
    this.#finished = this.#resolveFinished = undefined
    publishFinished(this.#home, this)
    return owner
  }

  /** From one state to another that is not active. */
  #leave (state: TaskState): void {
    const attempt = this.#attempt
    this.#move(state)
    this.#attempt = null
    if (this.#timer !== null) {
      clearTimeout(this.#timer)
      this.#timer = null
    }
    if (attempt === null) return
    this.#home.slots.release()
    Attempt.end(attempt)
  }

  #move (state: TaskState): void {
    this.#home.ledger.move(this.#state, state)
    this.#state = state
  }
}

function newScope (): AsyncResource {
  return new AsyncResource('BackgroundTask')
}
