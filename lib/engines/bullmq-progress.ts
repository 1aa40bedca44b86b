import type { TaskProgress } from '../types'

// A task may say its progress as often as it likes; the server hears of it once in so many milliseconds.
const INTERVAL = 250

/** What a task has said last of its progress, on its way to the server. */
export class ProgressWriter {
  readonly #write: (progress: TaskProgress) => Promise<unknown>
  #next: TaskProgress | undefined
  #timer: NodeJS.Timeout | undefined

  constructor (write: (progress: TaskProgress) => Promise<unknown>) {
    this.#write = write
  }

  /** The first goes out at once, later ones when it is time; of several, the last. */
  set (progress: TaskProgress): void {
    this.#next = progress
    if (this.#timer === undefined) this.#begin()
  }

  /** Sends what is left, ahead of the outcome of the task. */
  end (): void {
    clearTimeout(this.#timer)
    if (this.#next !== undefined) this.#send(this.#next)
  }

  #begin (): void {
    const sent = this.#send(this.#next as TaskProgress)
    this.#timer = setTimeout(async () => {
      // Never two at once: while the server is away, each would wait for it.
      await sent
      this.#timer = undefined
      if (this.#next !== undefined) this.#begin()
    }, INTERVAL)
  }

  async #send (progress: TaskProgress): Promise<void> {
    this.#next = undefined
    try {
      await this.#write(progress)
    } catch {
      // The task is worth more than its progress.
    }
  }
}
