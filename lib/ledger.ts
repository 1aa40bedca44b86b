import type { BackgroundStats, TaskRun, TaskState } from './types'

/** The books: how many runs stand in which state (L3), who waits for the last of them, which are known by their id. */
export class Ledger {
  readonly #counts: Record<TaskState, number> =
    { queued: 0, active: 0, retrying: 0, completed: 0, failed: 0, cancelled: 0, discarded: 0, stored: 0 }

  #accepted = 0
  // Unfinished runs whose id has been read: nobody can ask for another.
  readonly #byId = new Map<string, TaskRun>()
  #idle: Array<() => void> = []

  get unfinished (): number {
    const { queued, active, retrying } = this.#counts
    return queued + active + retrying
  }

  accept (): void {
    this.#accepted++
    this.#counts.queued++
  }

  move (from: TaskState, to: TaskState): void {
    const counts = this.#counts
    // By name where most runs go through: a key that varies costs a short run a twentieth more (measured on Node 20).
    if (from === 'queued') counts.queued--
    else if (from === 'active') counts.active--
    else counts[from]--
    if (to === 'active') counts.active++
    else if (to === 'completed') counts.completed++
    else counts[to]++
    if (this.#idle.length > 0 && this.unfinished === 0) this.#announceIdle()
  }

  remember (id: string, run: TaskRun): void {
    this.#byId.set(id, run)
  }

  forget (id: string, run: TaskRun): void {
    // An engine may have brought a task twice.
    if (this.#byId.get(id) === run) this.#byId.delete(id)
  }

  get (id: string): TaskRun | undefined {
    return this.#byId.get(id)
  }

  idle (): Promise<void> {
    if (this.unfinished === 0) return Promise.resolve()
    return new Promise((resolve) => { this.#idle.push(resolve) })
  }

  stats (): BackgroundStats {
    return { accepted: this.#accepted, ...this.#counts }
  }

  #announceIdle (): void {
    const waiting = this.#idle
    this.#idle = []
    for (const resolve of waiting) resolve()
  }
}
