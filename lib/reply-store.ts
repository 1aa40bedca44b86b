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
  readonly #storing = new Set<Run>()
  // Stored, with the reply still on its way.
  #held: Run[] = []
  #released: boolean

  /**
   * @param admits Whether a run's condition is met; if not, it has been ended.
   * @param released Whether the reply has left already.
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
    for (let runs = this.#admitted(); runs.length > 0; runs = this.#admitted()) {
      for (const run of runs) this.#storing.add(run)
      try {
        await this.#durable.store(runs)
      } finally {
        for (const run of runs) this.#storing.delete(run)
      }
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
    const runs = [...this.#waiting, ...this.#storing, ...this.#held]
    this.#waiting = this.#held = []
    for (const run of runs) run.abort()
  }

  #admitted (): Run[] {
    const runs: Run[] = []
    // A condition may add a task.
    while (this.#waiting.length > 0) {
      const waiting = this.#waiting
      this.#waiting = []
      runs.push(...waiting.filter(this.#admits))
    }
    return runs
  }
}
