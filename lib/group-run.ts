import type { FastifyBaseLogger } from 'fastify'
import type { Linked } from './chain'
import type { Startable } from './dispatcher'
import { Lane } from './lane'
import type { Slots } from './slots'
import type { Run, RunOwner } from './task-run'
import type { OnFailure } from './types'
import { Waiting } from './waiting'

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
  readonly #waiting = new Waiting<Run>()
  // As many as the group's concurrency admits: at work, or in line for a slot.
  readonly #started = new Set<Run>()
  readonly #lane: Lane<Run>
  // Of those that were added.
  #unfinished = 0
  #begun = false
  #stopped = false
  #over = false

  constructor (slots: Slots, owner: GroupOwner, concurrency: number, onFailure: OnFailure) {
    this.#owner = owner
    this.#concurrency = concurrency
    this.#onFailure = onFailure
    this.#lane = new Lane(slots)
  }

  get log (): FastifyBaseLogger {
    return this.#owner.log
  }

  get isOver (): boolean {
    return this.#over
  }

  /** In the order in which they were added. */
  get unfinished (): Run[] {
    const runs = [...this.#started]
    this.#waiting.retain((run) => !run.isOver && runs.push(run) > 0)
    return runs
  }

  add (run: Run): void {
    this.#waiting.push(run)
    this.#unfinished++
  }

  /** Keeps the waiting runs that `keep` is true for: it has ended the others. @returns whether any is left. */
  retain (keep: (run: Run) => boolean): boolean {
    this.#waiting.retain(keep)
    return this.#waiting.length > 0
  }

  /** Its turn, with a slot for the first of its runs. */
  start (time: number): void {
    this.#begun = true
    this.#fill()
    this.#lane.start(time)
    this.#endIfDone()
  }

  due (run: Run): void {
    this.#lane.push(run)
  }

  ended (run: Run): void {
    this.#unfinished--
    this.#owner.ended(run)
    if (!this.#started.delete(run)) {
      this.#waiting.noteEnded()
      // All were ended before its turn, which it need not wait for.
      if (!this.#begun && this.#unfinished === 0) this.#endIfDone()
      return
    }
    if (run.state === 'failed' && this.#onFailure === 'stop' && !this.#stopped) this.#stop()
    this.#fill()
    this.#lane.advance()
    this.#endIfDone()
  }

  abort (): void {
    for (const run of [...this.#waiting.drain(), ...this.#started]) run.abort()
  }

  #fill (): void {
    while (this.#started.size < this.#concurrency) {
      const run = this.#waiting.next()
      if (run === undefined) return
      this.#started.add(run)
      this.#lane.add(run)
    }
  }

  #stop (): void {
    this.#stopped = true
    // Of those that have their places some may still stand in line.
    for (const run of [...this.#started, ...this.#waiting.drain()]) if (run.state === 'queued') run.discard()
  }

  #endIfDone (): void {
    if (this.#over || this.#started.size > 0) return
    this.#over = true
    this.#owner.groupEnded(this)
  }
}
