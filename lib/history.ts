import { listen } from './listen'
import type { ResolvedHistory } from './options'
import type { Run } from './task-run'
import type { AppBackground, TaskEvent } from './types'

/**
 * What an application has at work, and what has finished lately. It listens to the channels: where nobody wants it, it
 * is not there, and nothing is paid. Bounded by a count and an age; what is too old goes at the next look, without a timer.
 */
export class History {
  readonly #options: ResolvedHistory
  // Both in the order in which they came there.
  readonly #unfinished = new Set<Run>()
  readonly #finished = new Map<string, Run>()
  readonly #stop: () => void

  constructor (background: AppBackground, options: ResolvedHistory) {
    this.#options = options
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
    return this.#finished.values()
  }

  /** A run that has finished, while it is kept. */
  get (id: string): Run | undefined {
    this.#evict()
    return this.#finished.get(id)
  }

  /** From here on it takes no note. */
  close (): void {
    this.#stop()
  }

  #open (run: Run): void {
    // A subscriber may have ended it before this one is told that it is there.
    if (run.isOver) return
    // A failed one that its engine was told to deliver again.
    if (this.#finished.size > 0 && run.isDurable) this.#finished.delete(run.id)
    this.#unfinished.add(run)
  }

  #close (run: Run): void {
    this.#unfinished.delete(run)
    // The rest of it is not for this process to know.
    if (run.state === 'stored') return
    this.#finished.delete(run.id)
    this.#finished.set(run.id, run)
    this.#evict()
  }

  #evict (): void {
    const { count, age } = this.#options
    const oldest = Date.now() - age
    for (const [id, { finishedAt }] of this.#finished) {
      if (this.#finished.size <= count && (finishedAt as number) > oldest) return
      this.#finished.delete(id)
    }
  }
}
