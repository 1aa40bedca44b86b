import { dispatch, dispatchSuccessor, type Startable } from './dispatcher'
import { Fifo } from './fifo'

/** Who may stand in line. */
export interface Standing extends Startable {
  /** Leaves the line, if there is nothing to start any more. @returns whether it has. */
  leave (): boolean
}

// Below this many, looking for who has nothing to start any more is not worth it.
const SWEEP_FROM = 1024

/**
 * How many runs of an application may be active at once. Who has something to start takes a slot for it, or stands in
 * line for one: a reply, a group, all that is outside a request, each at one place only, so that they take turns. While
 * someone stands in line, no slot is free.
 */
export class Slots {
  readonly #line = new Fifo<Standing>()
  // How many of those in line may have nothing to start any more.
  #idle = 0
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
  request (item: Standing): void {
    if (this.take()) dispatch(item)
    else this.#line.push(item)
  }

  /** One that stands in line has nothing to start any more. Whoever adds and cancels for ever is not to fill the memory. */
  noteIdle (): void {
    if (++this.#idle < SWEEP_FROM || this.#idle * 2 < this.#line.length) return
    this.#idle = 0
    this.#line.retain((item) => !item.leave())
  }

  /** Gives a slot to the first in line. */
  release (): void {
    const next = this.#line.shift()
    if (next === undefined) this.#taken--
    else dispatchSuccessor(next)
  }
}
