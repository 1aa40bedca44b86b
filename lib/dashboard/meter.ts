import type { TaskState } from '../types'
import type { Second } from './frame'
import { Histogram } from './histogram'

/** How many seconds are kept: five minutes. */
export const SECONDS_KEPT = 300

/** How many runs came to which end, and how long they waited and took, second by second. */
export class Meter {
  readonly #now: () => number
  // Those that are over and in which something happened, the oldest first.
  #seconds: Second[] = []
  // The one at hand.
  #time = 0
  #completed = 0
  #failed = 0
  readonly #queueTimes = new Histogram()
  readonly #durations = new Histogram()

  constructor (now: () => number = Date.now) {
    this.#now = now
  }

  /** A run has started. */
  started (queueTime: number): void {
    this.#turn()
    this.#queueTimes.record(queueTime)
  }

  /** An attempt is over; one that will be tried again has failed. */
  ended (state: TaskState, duration: number): void {
    this.#turn()
    this.#durations.record(duration)
    if (state === 'completed') this.#completed++
    else if (state !== 'cancelled') this.#failed++
  }

  /** Those that are over, from this one on, in seconds since the epoch; those without anything are left out. */
  since (time: number): readonly Second[] {
    this.#turn()
    let first = this.#seconds.length
    while (first > 0 && this.#seconds[first - 1][0] >= time) first--
    return this.#seconds.slice(first)
  }

  #turn (): void {
    const time = Math.floor(this.#now() / 1_000)
    if (time === this.#time) return
    this.#keep()
    this.#time = time
    const oldest = time - SECONDS_KEPT
    while (this.#seconds.length > 0 && this.#seconds[0][0] < oldest) this.#seconds.shift()
  }

  #keep (): void {
    const [queueTimes, durations] = [this.#queueTimes, this.#durations]
    const queueP50 = queueTimes.quantile(0.5)
    const durationP50 = durations.quantile(0.5)
    if (queueP50 === null && durationP50 === null) return
    this.#seconds.push([
      this.#time, this.#completed, this.#failed, queueP50, queueTimes.quantile(0.99), durationP50, durations.quantile(0.99)
    ])
    this.#completed = this.#failed = 0
    queueTimes.clear()
    durations.clear()
  }
}
