import { Fifo } from './fifo'

interface Item {
  /** Whether there is nothing to start any more. */
  readonly isOver: boolean
}

// Below this many, looking for what has ended is not worth it.
const SWEEP_FROM = 1024

/** Items that wait for their turn, first in, first out; those that end meanwhile are passed over. */
export class Waiting<T extends Item> {
  readonly #items = new Fifo<T>()
  #ended = 0

  /** How many there are, with some that have ended. */
  get length (): number {
    return this.#items.length
  }

  push (item: T): void {
    this.#items.push(item)
  }

  /** Takes out the first that has not ended. */
  next (): T | undefined {
    let first
    do first = this.#items.shift()
    while (first?.isOver === true)
    return first
  }

  /** One may have ended while it waited. Who adds and cancels for ever is not to fill the memory. */
  noteEnded (): void {
    if (++this.#ended >= SWEEP_FROM && this.#ended * 2 >= this.#items.length) this.retain((item) => !item.isOver)
  }

  /** Keeps the items that `keep` is true for, in their order. */
  retain (keep: (item: T) => boolean): void {
    // What ends in the midst of it is no reason to begin again.
    this.#ended = -Infinity
    this.#items.retain(keep)
    this.#ended = 0
  }

  /** Takes out everything. */
  drain (): T[] {
    this.#ended = 0
    return this.#items.drain()
  }
}
