import type { Background } from '../background'
import type { History } from '../history'
import { listen } from '../listen'
import type { Run } from '../task-run'
import { Ring } from './ring'

const FAILED_KEPT = 500

/** The runs of this process that are not finished, and the last ones that are. */
export class Runs {
  readonly #background: Background
  readonly #history: History
  // Apart from the history: a thousand that completed are not to push out a failure.
  readonly #failed: Ring<Run>
  /** From here on, failures are not noted any more. */
  readonly close: () => void

  constructor (background: Background) {
    this.#background = background
    this.#history = background.keepHistory()
    this.#failed = new Ring(Math.min(FAILED_KEPT, background.options.history.count))
    this.close = listen(background, {
      finished: ({ run }) => { if (run.state === 'failed') this.#failed.push(run as Run) }
    })
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
}
