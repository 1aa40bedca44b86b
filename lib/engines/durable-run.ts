import type { FastifyBaseLogger } from 'fastify'
import type { Attempt } from '../attempt'
import type { Defined } from '../defined'
import { FST_ERR_BACKGROUND_CLOSED, FST_ERR_BACKGROUND_STORE_FAILED } from '../errors'
import { reportReturn } from '../report'
import { Run, type RunHome, type RunOwner } from '../task-run'
import type { TaskFunction, TaskProgress, TaskRun, When } from '../types'
import type { Delivery, Outcome, StoredTask } from './engine'

// A local engine has nobody else to give it to: it comes again in the next process, or when this one has closed.
export const RETURN_DELAY = 1_000

/** Who stands between runs and their engine. */
export interface RunKeeper {
  /** Whether the engine will deliver runs to this process for certain. */
  readonly local: boolean
  /** The run is over, as far as this process knows. */
  left (run: DurableRun): void
  /** The run was cancelled here while its engine had it, and had yet to deliver it. */
  cancelled (run: DurableRun): void
}

export interface DurableRunOptions {
  readonly task: StoredTask
  /** On which replies it runs, if its definition does not say. */
  readonly when: When
  /** Whether it will be bound to an async context later. */
  readonly unbound: boolean
}

/** Who waits for an attempt. */
interface Delivered {
  readonly settle: (outcome: Outcome) => void
  readonly progress: (progress: TaskProgress) => void
}

/** A run that an engine keeps, and starts by a delivery for each attempt. */
export class DurableRun extends Run {
  readonly #keeper: RunKeeper
  readonly #meta: Record<string, string>
  readonly #log: FastifyBaseLogger
  // Until it is stored.
  #task: StoredTask | null
  #phase: 'new' | 'storing' | 'stored' = 'new'
  // Shutdown came while it was being stored.
  #isAborted = false
  // While it has an attempt here.
  #delivered: Delivered | null = null
  #stored: Promise<TaskRun> | undefined
  #resolveStored: { resolve: (run: TaskRun) => void, reject: (error: unknown) => void } | undefined

  constructor (
    home: RunHome, owner: RunOwner, keeper: RunKeeper, defined: Defined, { task, when, unbound }: DurableRunOptions
  ) {
    super(home, owner, defined as unknown as TaskFunction<never[]>, [], when, unbound, task)
    this.#keeper = keeper
    this.#meta = task.meta as Record<string, string>
    this.#log = owner.log
    this.#task = task
  }

  override get isDurable (): boolean {
    return true
  }

  override get meta (): Record<string, string> {
    return this.#meta
  }

  get log (): FastifyBaseLogger {
    return this.#log
  }

  override stored (): Promise<TaskRun> {
    this.#stored ??= this.#phase === 'stored'
      ? Promise.resolve(this)
      : this.isOver
        ? Promise.reject(this.#whyNotStored())
        : new Promise((resolve, reject) => { this.#resolveStored = { resolve, reject } })
    return this.#stored
  }

  override cancel (reason?: unknown): boolean {
    const isAtEngine = this.#phase === 'stored' && this.#delivered === null
    if (!super.cancel(reason)) return false
    if (isAtEngine) this.#keeper.cancelled(this)
    return true
  }

  /** Shutdown does not wait longer. What the engine has goes back to it. */
  override abort (): void {
    if (this.isOver) return
    if (this.#phase === 'new') super.abort()
    else if (this.#phase === 'storing') this.#isAborted = true
    else this.giveUp('stored', new FST_ERR_BACKGROUND_CLOSED(this.name, 'handed back'), () => reportReturn(this, this.#log))
  }

  /** Goes to the engine. @returns what it is to store. */
  hand (): StoredTask {
    this.#phase = 'storing'
    assureTexts(this.#meta)
    return this.#task!
  }

  /** The engine has it. */
  keep (): void {
    this.#letGo()
    if (this.isOver) {
      this.#keeper.cancelled(this)
      return
    }
    this.#resolveStored?.resolve(this)
    if (!this.#keeper.local) this.end('stored').ended(this)
    else if (this.#isAborted) this.abort()
  }

  /** The engine does not have it, as far as can be known. */
  lose (error: unknown): void {
    if (!this.isOver) this.within(() => this.fail(error))
  }

  /** It leaves the reply that it was added to. */
  leaveTo (owner: RunOwner): void {
    this.moveTo(owner).ended(this)
  }

  /**
   * Runs one attempt.
   *
   * @param defined What the task's name stands for in this process: the same here as anywhere.
   */
  deliver (delivery: Delivery, defined: Defined, args: readonly unknown[], owner: RunOwner): Promise<Outcome> {
    this.#letGo()
    return new Promise((resolve) => {
      this.#delivered = { settle: resolve, progress: (progress) => { delivery.progress(progress) } }
      this.resume(owner, defined, args, delivery.attempt, delivery.task.retries)
    })
  }

  override progressed (attempt: Attempt, progress: TaskProgress): void {
    super.progressed(attempt, progress)
    // A subscriber may have cancelled it.
    if (this.isAt(attempt)) this.#delivered!.progress(progress)
  }

  /** What the engine has brought cannot be run. */
  refuse (error: unknown, owner: RunOwner): void {
    this.#letGo()
    this.reopen(owner)
    this.within(() => this.fail(error))
  }

  protected override retry (error: unknown, delay: number): void {
    super.retry(error, delay)
    if (this.isOver) return
    const { settle } = this.#delivered!
    this.#delivered = null
    if (!this.#keeper.local) this.end('stored').ended(this)
    settle({ state: 'failed', error, retryIn: delay })
  }

  /** The engine waits, and delivers it again. */
  protected override awaitRetry (): void {}

  protected override end (state: 'completed' | 'failed' | 'discarded' | 'cancelled' | 'stored'): RunOwner {
    const owner = super.end(state)
    this.#delivered?.settle(this.#outcome())
    this.#delivered = null
    if (this.#phase !== 'stored') {
      this.#task = null
      this.#resolveStored?.reject(this.#whyNotStored())
    }
    this.#keeper.left(this)
    return owner
  }

  #letGo (): void {
    this.#phase = 'stored'
    this.#task = null
  }

  #whyNotStored (): unknown {
    const { name, state, error } = this
    if (state === 'failed') return error
    return Object.assign(new FST_ERR_BACKGROUND_STORE_FAILED(`"${name}"`, `it was ${state} before`), { cause: error })
  }

  #outcome (): Outcome {
    const { state, result, error } = this
    if (state === 'completed') return { state, result }
    if (state === 'failed') return { state, error }
    if (state === 'cancelled') return { state, reason: error }
    return { state: 'returned', delay: this.#keeper.local ? RETURN_DELAY : 0 }
  }
}

/** Subscribers may have written anything: what is no text becomes one, or goes. */
function assureTexts (meta: Record<string, unknown>): void {
  for (const [key, value] of Object.entries(meta)) {
    if (typeof value === 'number' || typeof value === 'boolean') meta[key] = String(value)
    else if (typeof value !== 'string') Reflect.deleteProperty(meta, key)
  }
}
