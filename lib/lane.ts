import type { Startable } from './dispatcher'
import { Fifo, nextOf } from './fifo'
import type { Slots } from './slots'

interface Item extends Startable {
  /** Whether there is nothing to start any more. */
  readonly isOver: boolean
}

/** Items that wait for nothing but a slot. However many there are, they stand in line at one place. */
export class Lane implements Startable {
  readonly #slots: Slots
  readonly #items = new Fifo<Item>()
  #inLine = false

  constructor (slots: Slots) {
    this.#slots = slots
  }

  push (item: Item): void {
    this.#items.push(item)
    this.#advance()
  }

  /** Its turn, with a slot: starts the first, and asks for another turn if more wait. */
  start (): void {
    this.#inLine = false
    const item = nextOf(this.#items)
    if (item === undefined) this.#slots.release()
    else item.start()
    this.#advance()
  }

  #advance (): void {
    if (this.#inLine || this.#items.length === 0) return
    this.#inLine = true
    this.#slots.request(this)
  }
}
