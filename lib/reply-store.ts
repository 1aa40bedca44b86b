import type { DurableTasks } from './durable-tasks'
import type { Run } from './task-run'

/**
 * The durable runs of one reply. They are stored with one call before it leaves; those that are added too late for that,
 * at once. They do not start before it has left.
 */
export class ReplyStore {
  readonly #durable: DurableTasks
  readonly #admits: (run: Run) => boolean
  #waiting: Run[] = []
  // Stored, with the reply still on its way.
  #held: Run[] = []
  #released: boolean

  /**
   * @param admits Whether a run's condition is met; if not, it has been ended.
   * @param released Whether the reply has left.
   */
  constructor (durable: DurableTasks, admits: (run: Run) => boolean, released: boolean) {
    this.#durable = durable
    this.#admits = admits
    this.#released = released
  }

  /** Whether there are runs to be stored. */
  get isWaiting (): boolean {
    return this.#waiting.length > 0
  }

  add (run: Run): void {
    this.#waiting.push(run)
  }

  /** Stores what waits, and what is added meanwhile. Rejects with `FST_ERR_BACKGROUND_STORE_FAILED`. */
  async store (): Promise<void> {
    while (this.#waiting.length > 0) {
      const runs = this.#waiting.filter(this.#admits)
      this.#waiting = []
      if (runs.length > 0) await this.#durable.store(runs)
      this.#held.push(...runs)
      if (this.#released) this.release()
    }
  }

  /** Stores what waits, with nobody to tell but the runs themselves. */
  storeLate (): void {
    // In a microtask: calls in a row are stored with one.
    queueMicrotask(() => { this.store().catch(() => {}) })
  }

  /** The reply has left. */
  release (): void {
    this.#released = true
    this.#durable.release(this.#held)
    this.#held = []
  }

  abort (): void {
    for (const run of [...this.#waiting, ...this.#held]) run.abort()
    this.#waiting = this.#held = []
  }
}
