import { dispatch, dispatchSuccessor, type Startable } from './dispatcher'
import { Fifo } from './fifo'

/**
 * How many runs of an application may be active at once. Who has something to start takes a slot for it, or stands in
 * line for one: a reply, a group, all that is outside a request, each at one place only, so that they take turns. While
 * someone stands in line, no slot is free.
 */
export class Slots {
  readonly #line = new Fifo<Startable>()
  readonly #concurrency: number
  #taken = 0

  constructor (concurrency: number) {
    this.#concurrency = concurrency
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
