import { performance } from 'node:perf_hooks'
import { MAX_TIMER_DELAY } from '../checks'
import type { Entry } from './journal-entry'
import { Heap } from './journal-heap'

/**
 * What is to be delivered: at once, in the order of storing, or later. What has waited, for another attempt or
 * elsewhere, comes behind all that is ready then, so that a task that fails for ever does not keep others from starting.
 */
export class JournalSchedule {
  readonly #ready = new Heap<Entry>(isBefore)
  // The same, of those that a process has died at.
  readonly #suspects = new Heap<Entry>(isBefore)
  readonly #waiting = new Heap<Entry>((a, b) => a.due < b.due)
  readonly #nextTurn: () => number
  readonly #onReady: () => void
  // For the first of those that wait (L4).
  #timer: NodeJS.Timeout | undefined

  constructor (nextTurn: () => number, onReady: () => void) {
    this.#nextTurn = nextTurn
    this.#onReady = onReady
  }

  add (entry: Entry): void {
    if (entry.due <= performance.now()) {
      this.#readyFor(entry).push(entry)
    } else {
      this.#waiting.push(entry)
      this.#rearm()
    }
  }

  /** @param suspectsToo Whether it may be one that a process has died at. */
  shift (suspectsToo: boolean): Entry | undefined {
    const ready = this.#ready.first
    const suspect = this.#suspects.first
    if (!suspectsToo || suspect === undefined || (ready !== undefined && isBefore(ready, suspect))) return this.#ready.shift()
    return this.#suspects.shift()
  }

  remove (entry: Entry): void {
    this.#ready.remove(entry)
    this.#suspects.remove(entry)
    this.#waiting.remove(entry)
    this.#rearm()
  }

  clear (): void {
    this.#ready.clear()
    this.#suspects.clear()
    this.#waiting.clear()
    this.#rearm()
  }

  #rearm (): void {
    clearTimeout(this.#timer)
    const { first } = this.#waiting
    if (first === undefined) return
    const wait = Math.ceil(Math.max(0, first.due - performance.now()))
    this.#timer = setTimeout(() => this.#ring(), Math.min(wait, MAX_TIMER_DELAY))
  }

  #ring (): void {
    const now = performance.now()
    for (let first = this.#waiting.first; first !== undefined && first.due <= now; first = this.#waiting.first) {
      this.#waiting.remove(first)
      first.turn = this.#nextTurn()
      this.#readyFor(first).push(first)
    }
    this.#rearm()
    this.#onReady()
  }

  #readyFor ({ restarts }: Entry): Heap<Entry> {
    return restarts > 0 ? this.#suspects : this.#ready
  }
}

function isBefore (a: Entry, b: Entry): boolean {
  return a.turn < b.turn
}
