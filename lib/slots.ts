import { dispatch, dispatchSuccessor, type Startable } from './dispatcher'
import { Fifo } from './fifo'

/**
 * How many runs of an application may be active at once. Who has something to start takes a slot for it, or stands in
 * line for one: a reply, a group, all that is outside a request, each at one place only, so that they take turns. While
 * someone stands in line, no slot is free.
 */
export class Slots {
  readonly #line = new Fifo<Startable>()
  readonly #limit: number
  // 0 while nothing is to start.
  #concurrency: number
  #taken = 0

  /** @param held Whether nothing is to start before `open` is called. */
  constructor (concurrency: number, held = false) {
    this.#limit = concurrency
    this.#concurrency = held ? 0 : concurrency
  }

  get isUnused (): boolean {
    return this.#taken === 0
  }

  /** From here on, there are slots. */
  open (): void {
    this.#concurrency = this.#limit
    while (this.#line.length > 0 && this.take()) dispatch(this.#line.shift()!)
  }

  /** From here on, there are none. What has one keeps it. */
  hold (): void {
    this.#concurrency = 0
  }

  /** Takes a slot, if one is free. */
  take (): boolean {
    if (this.#taken >= this.#concurrency) return false
    this.#taken++
    return true
  }

  /** Starts `item` in a turn of the dispatcher, as soon as there is a slot for it. It is to use the slot, or to release it. */
  request (item: Startable): void {
    if (this.take()) dispatch(item)
    else this.#line.push(item)
  }

  /** Gives a slot to the first in line. */
  release (): void {
    const next = this.#line.shift()
    if (next === undefined) this.#taken--
    else dispatchSuccessor(next)
  }
}
