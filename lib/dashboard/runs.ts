import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Background } from '../background'
import { FINISHED } from '../events'
import type { History } from '../history'
import type { Run } from '../task-run'
import type { TaskEvent } from '../types'
import { Ring } from './ring'

const FAILED_KEPT = 500

/** The runs of this process that are not finished, and the last ones that are. */
export class Runs {
  readonly #background: Background
  readonly #history: History
  // Apart from the history: a thousand that completed are not to push out a failure.
  readonly #failed: Ring<Run>

  constructor (background: Background) {
    this.#background = background
    this.#history = background.keepHistory()
    this.#failed = new Ring(Math.min(FAILED_KEPT, background.options.history.count))
    subscribe(FINISHED, this.#note)
  }

  /** In the order in which they came. */
  get unfinished (): Iterable<Run> {
    return this.#history.unfinished
  }

  /** The newest first. */
  * failed (): Generator<Run> {
    const oldest = Date.now() - this.#background.options.history.age
    for (const run of this.#failed) if (run.finishedAt! > oldest) yield run
  }

  /** The failed ones, then all that the history has, the newest first each. */
  * finished (): Generator<Run> {
    yield * this.failed()
    yield * [...this.#history.finished].reverse()
  }

  close (): void {
    unsubscribe(FINISHED, this.#note)
  }

  readonly #note = (message: unknown): void => {
    const { background, run } = message as TaskEvent
    if (background === this.#background && run.state === 'failed') this.#failed.push(run as Run)
  }
}
