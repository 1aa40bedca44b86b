import type { Startable } from './dispatcher'
import type { Slots, Standing } from './slots'
import { Waiting } from './waiting'

interface Item extends Startable {
  readonly isOver: boolean
}

/** Items that wait for nothing but a slot. However many there are, they stand in line at one place. */
export class Lane<T extends Item> implements Standing {
  readonly #slots: Slots
  readonly #items = new Waiting<T>()
  #inLine = false

  constructor (slots: Slots) {
    this.#slots = slots
  }

  /** Adds an item, without asking for a turn. */
  add (item: T): void {
    this.#items.push(item)
  }

  push (item: T): void {
    this.add(item)
    this.advance()
  }

  /** One may have ended before its turn. */
  noteEnded (): void {
    this.#items.noteEnded()
  }

  /** There is one for all that is outside a request, and one for each group at work: they may well wait. */
  leave (): boolean {
    return false
  }

  /** Its turn, with a slot: starts the first, and asks for another turn if more wait. */
  start (time: number): void {
    this.#inLine = false
    const item = this.#items.next()
    if (item === undefined) this.#slots.release()
    else item.start(time)
    this.advance()
  }

  /** Asks for a turn, if anything waits for one. */
  advance (): void {
    if (this.#inLine || this.#items.length === 0) return
    this.#inLine = true
    this.#slots.request(this)
  }
}
