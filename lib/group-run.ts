import type { FastifyBaseLogger } from 'fastify'
import type { Linked } from './chain'
import { dispatch, type Startable } from './dispatcher'
import { Fifo } from './fifo'
import type { Run, RunOwner } from './task-run'
import type { OnFailure } from './types'

/** Who has a group in its order. */
export interface GroupOwner extends RunOwner {
  /** Called once for a group that was started, when the last of its runs is finished. */
  groupEnded (group: GroupRun): void
}

/** The runs of one group: so many at once, and none any more after a failure if that is its rule. */
export class GroupRun implements RunOwner, Startable, Linked {
  previous: Linked | null = null
  next: Linked | null = null
  readonly #owner: GroupOwner
  readonly #concurrency: number
  readonly #onFailure: OnFailure
  readonly #waiting = new Fifo<Run>()
  readonly #started = new Set<Run>()

  constructor (owner: GroupOwner, concurrency: number, onFailure: OnFailure) {
    this.#owner = owner
    this.#concurrency = concurrency
    this.#onFailure = onFailure
  }

  get log (): FastifyBaseLogger {
    return this.#owner.log
  }

  /** How many runs wait. */
  get size (): number {
    return this.#waiting.length
  }

  add (run: Run): void {
    this.#waiting.push(run)
  }

  /** Keeps the waiting runs that `keep` is true for: it has ended the others. @returns whether any is left. */
  filter (keep: (run: Run) => boolean): boolean {
    this.#waiting.filter(keep)
    return this.#waiting.length > 0
  }

  start (): void {
    while (this.#started.size < this.#concurrency && this.#waiting.length > 0) {
      const run = this.#waiting.shift()!
      this.#started.add(run)
      dispatch(run)
    }
    if (this.#started.size === 0) this.#owner.groupEnded(this)
  }

  ended (run: Run): void {
    this.#owner.ended(run)
    // One that never had its turn leaves the order of the others as it is.
    if (!this.#started.delete(run)) return
    if (run.state === 'failed' && this.#onFailure === 'stop') this.#stop()
    this.start()
  }

  abort (): void {
    for (const run of [...this.#waiting.drain(), ...this.#started]) run.abort()
  }

  #stop (): void {
    // Some may be with the dispatcher, but have not had their turn.
    const dispatched = [...this.#started].filter((run) => run.state === 'queued')
    for (const run of dispatched) this.#started.delete(run)
    for (const run of [...dispatched, ...this.#waiting.drain()]) run.discard()
  }
}
