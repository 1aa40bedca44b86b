import { Chain, unlink, type Linked } from './chain'
import { listen } from './listen'
import type { ResolvedHistory } from './options'
import type { Run } from './task-run'
import type { AppBackground, TaskEvent } from './types'

/** A run that has finished. */
class Finished implements Linked {
  previous: Linked | null = null
  next: Linked | null = null
  readonly run: Run

  constructor (run: Run) {
    this.run = run
  }
}

/**
 * What an application has at work, and what has finished lately. It listens to the channels: where nobody wants it, it
 * is not there, and nothing is paid. Bounded by a count and an age; what is too old goes at the next look, without a timer.
 */
export class History {
  readonly #options: ResolvedHistory
  // Both in the order in which they came there.
  readonly #unfinished: Set<Run>
  // A `Map` alone would do, were it not for what is deleted at its head: whoever looks for the first steps over that.
  readonly #finished = new Chain<Finished>()
  readonly #byId = new Map<string, Finished>()
  readonly #stop: () => void

  /** @param unfinished What was there before it. */
  constructor (background: AppBackground, options: ResolvedHistory, unfinished: Iterable<Run>) {
    this.#options = options
    this.#unfinished = new Set(unfinished)
    const open = ({ run }: TaskEvent): void => { this.#open(run as Run) }
    this.#stop = listen(background, { queued: open, taken: open, finished: ({ run }) => { this.#close(run as Run) } })
  }

  /** In the order in which they came. */
  get unfinished (): Iterable<Run> {
    return this.#unfinished
  }

  /** In the order in which they ended. */
  get finished (): Iterable<Run> {
    this.#evict()
    return runsOf(this.#finished)
  }

  /** A run that has finished, while it is kept. */
  get (id: string): Run | undefined {
    this.#evict()
    return this.#byId.get(id)?.run
  }

  /** A run that has finished is not kept any more. */
  forget (id: string): void {
    const finished = this.#byId.get(id)
    if (finished === undefined) return
    unlink(finished)
    this.#byId.delete(id)
  }

  /** From here on it takes no note. */
  close (): void {
    this.#stop()
  }

  #open (run: Run): void {
    // A subscriber may have ended it before this one is told that it is there.
    if (run.isOver) return
    // A failed one that its engine was told to deliver again.
    if (run.isDurable) this.forget(run.id)
    this.#unfinished.add(run)
  }

  #close (run: Run): void {
    this.#unfinished.delete(run)
    // The rest of it is not for this process to know.
    if (run.state === 'stored') return
    if (run.isDurable) this.forget(run.id)
    const finished = new Finished(run)
    this.#finished.add(finished)
    this.#byId.set(run.id, finished)
    this.#evict()
  }

  #evict (): void {
    const { count, age } = this.#options
    const oldest = Date.now() - age
    for (const { run } of this.#finished) {
      if (this.#byId.size <= count && run.finishedAt! > oldest) return
      this.forget(run.id)
    }
  }
}

function * runsOf (chain: Iterable<Finished>): Generator<Run> {
  for (const { run } of chain) yield run
}
