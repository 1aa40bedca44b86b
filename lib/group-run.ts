import type { FastifyBaseLogger } from 'fastify'
import type { Linked } from './chain'
import type { Startable } from './dispatcher'
import { Fifo, nextOf } from './fifo'
import type { Slots } from './slots'
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
  readonly #slots: Slots
  readonly #owner: GroupOwner
  readonly #concurrency: number
  readonly #onFailure: OnFailure
  readonly #waiting = new Fifo<Run>()
  readonly #started = new Set<Run>()
  // With the dispatcher, or in line for a slot: at one place at a time.
  #inLine = false
  #over = false

  constructor (slots: Slots, owner: GroupOwner, concurrency: number, onFailure: OnFailure) {
    this.#slots = slots
    this.#owner = owner
    this.#concurrency = concurrency
    this.#onFailure = onFailure
  }

  get log (): FastifyBaseLogger {
    return this.#owner.log
  }

  get isOver (): boolean {
    return this.#over
  }

  /** How many runs wait. */
  get size (): number {
    return this.#waiting.length
  }

  add (run: Run): void {
    this.#waiting.push(run)
  }

  /** Keeps the waiting runs that `keep` is true for: it has ended the others. @returns whether any is left. */
  retain (keep: (run: Run) => boolean): boolean {
    this.#waiting.retain(keep)
    return this.#waiting.length > 0
  }

  /** Its turn, with a slot: starts one run, and asks for another turn if more may start. */
  start (): void {
    this.#inLine = false
    const run = nextOf(this.#waiting)
    if (run === undefined) this.#slots.release()
    else {
      this.#started.add(run)
      run.start()
    }
    this.#advance()
  }

  ended (run: Run): void {
    this.#owner.ended(run)
    // One that never had its turn leaves the order of the others as it is.
    if (!this.#started.delete(run)) return
    if (run.state === 'failed' && this.#onFailure === 'stop') for (const each of this.#waiting.drain()) each.discard()
    this.#advance()
  }

  abort (): void {
    for (const run of [...this.#waiting.drain(), ...this.#started]) run.abort()
  }

  #advance (): void {
    if (this.#inLine || this.#over) return
    if (this.#waiting.length > 0) {
      if (this.#started.size >= this.#concurrency) return
      this.#inLine = true
      this.#slots.request(this)
    } else if (this.#started.size === 0) {
      this.#over = true
      this.#owner.groupEnded(this)
    }
  }
}
