import type { FastifyBaseLogger } from 'fastify'
import type { Attempt } from '../attempt'
import type { Defined } from '../defined'
import { FST_ERR_BACKGROUND_CLOSED } from '../errors'
import { reportReturn } from '../report'
import { Run, type RunHome, type RunOwner } from '../task-run'
import type { TaskFunction, TaskProgress, TaskRun, When } from '../types'
import type { Delivery, Outcome, StoredTask } from './engine'

/** Who has a run while its engine has it. */
export interface StoredOwner extends RunOwner {
  /** The run was cancelled while the engine had yet to deliver it. */
  cancelled (run: DurableRun, reason: unknown): void
}

export interface DurableRunOptions {
  readonly task: StoredTask
  /** On which replies it runs, if its definition does not say. */
  readonly when: When
  /** Whether it will be bound to an async context later. */
  readonly unbound: boolean
  /** Whether the engine will deliver it to this process for certain. */
  readonly local: boolean
}

/** Who waits for an attempt. */
interface Delivered {
  readonly settle: (outcome: Outcome) => void
  readonly progress: (progress: TaskProgress) => void
}

/** A run that an engine keeps, and starts by a delivery for each attempt. */
export class DurableRun extends Run {
  readonly #defined: Defined
  readonly #local: boolean
  readonly #log: FastifyBaseLogger
  // Until it is stored.
  #task: StoredTask | null
  #owner: StoredOwner | null = null
  #isStored = false
  // While it has an attempt here.
  #delivered: Delivered | null = null
  #stored: Promise<TaskRun> | undefined
  #resolveStored: { resolve: (run: TaskRun) => void, reject: (error: unknown) => void } | undefined

  constructor (home: RunHome, owner: RunOwner, defined: Defined, { task, when, unbound, local }: DurableRunOptions) {
    super(home, owner, defined as unknown as TaskFunction<never[]>, [], when, unbound, task)
    this.#defined = defined
    this.#local = local
    this.#log = owner.log
    this.#task = task
  }

  override get isDurable (): boolean {
    return true
  }

  override get meta (): Record<string, string> | undefined {
    return this.#task?.meta
  }

  get log (): FastifyBaseLogger {
    return this.#log
  }

  /** What the engine is to store. */
  get task (): StoredTask {
    return this.#task!
  }

  override stored (): Promise<TaskRun> {
    this.#stored ??= this.#isStored
      ? Promise.resolve(this)
      : this.isOver
        ? Promise.reject(this.error)
        : new Promise((resolve, reject) => { this.#resolveStored = { resolve, reject } })
    return this.#stored
  }

  override cancel (reason?: unknown): boolean {
    const owner = this.#delivered === null ? this.#owner : null
    if (!super.cancel(reason)) return false
    owner?.cancelled(this, this.error)
    return true
  }

  /** Shutdown does not wait longer. What the engine has goes back to it. */
  override abort (): void {
    if (!this.#isStored) super.abort()
    else if (!this.isOver) {
      this.giveUp('stored', new FST_ERR_BACKGROUND_CLOSED(this.name, 'handed back'), () => reportReturn(this, this.#log))
    }
  }

  /** The engine has it. */
  keep (): void {
    this.#isStored = true
    this.#task = null
    this.#resolveStored?.resolve(this)
    if (!this.#local && !this.isOver) this.end('stored').ended(this)
  }

  /** The engine does not have it, as far as can be known. */
  lose (error: unknown): void {
    this.#resolveStored?.reject(error)
    this.within(() => this.fail(error))
  }

  /** It leaves the reply that it was added to. */
  leaveTo (owner: StoredOwner): void {
    this.#owner = owner
    this.moveTo(owner).ended(this)
  }

  /** Runs one attempt. */
  deliver (delivery: Delivery, args: readonly unknown[], owner: StoredOwner): Promise<Outcome> {
    this.#isStored = true
    this.#task = null
    this.#owner = owner
    return new Promise((resolve) => {
      this.#delivered = { settle: resolve, progress: (progress) => { delivery.progress(progress) } }
      this.resume(owner, this.#defined, args, delivery.attempt, delivery.task.retries)
    })
  }

  override progressed (attempt: Attempt, progress: TaskProgress): void {
    super.progressed(attempt, progress)
    if (this.isAt(attempt)) this.#delivered!.progress(progress)
  }

  protected override awaitRetry (delay: number): boolean {
    this.leave('retrying')
    if (this.isOver) return false
    const { settle } = this.#delivered!
    this.#delivered = null
    if (!this.#local) this.end('stored').ended(this)
    settle({ state: 'failed', error: this.error, retryIn: delay })
    return true
  }

  protected override end (state: 'completed' | 'failed' | 'discarded' | 'cancelled' | 'stored'): RunOwner {
    const owner = super.end(state)
    this.#delivered?.settle(this.#outcome())
    this.#delivered = null
    this.#owner = null
    return owner
  }

  #outcome (): Outcome {
    const { state, result, error } = this
    if (state === 'completed') return { state, result }
    if (state === 'failed') return { state, error }
    return state === 'cancelled' ? { state, reason: error } : { state: 'returned', delay: 0 }
  }
}
