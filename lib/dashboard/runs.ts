import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Background } from '../background'
import type { Run } from '../task-run'
import type { TaskEvent } from '../types'
import { Ring } from './ring'

const NAME = 'fastify.background.task'
const BEGINNINGS = [`${NAME}.queued`, `tracing:${NAME}:start`]
const ENDINGS = [`tracing:${NAME}:end`, `tracing:${NAME}:asyncEnd`, `${NAME}.cancelled`, `${NAME}.discarded`]

// Apart from each other: a thousand completed ones are not to push out a failure.
const FAILED_KEPT = 500
const OTHERS_KEPT = 500

const SLACK = 100

/** The runs of this process that are not finished, and the last ones that are. */
export class Runs {
  readonly #background: Background
  readonly #unfinished = new Set<Run>()
  readonly #failed = new Ring<Run>(FAILED_KEPT)
  readonly #others = new Ring<Run>(OTHERS_KEPT)

  constructor (background: Background) {
    this.#background = background
    for (const name of BEGINNINGS) subscribe(name, this.#begin)
    for (const name of ENDINGS) subscribe(name, this.#end)
  }

  /** In the order in which they came. */
  get unfinished (): Iterable<Run> {
    this.#sweep()
    return this.#unfinished
  }

  /** The newest first. */
  get failed (): Iterable<Run> {
    this.#sweep()
    return this.#failed
  }

  * finished (): Generator<Run> {
    this.#sweep()
    yield * this.#failed
    yield * this.#others
  }

  close (): void {
    for (const name of BEGINNINGS) unsubscribe(name, this.#begin)
    for (const name of ENDINGS) unsubscribe(name, this.#end)
  }

  readonly #begin = (message: unknown): void => {
    const { background, run } = message as TaskEvent
    if (background !== this.#background) return
    // Of a run whose condition threw there is no ending, nor of one that was stored elsewhere.
    if (this.#unfinished.size > 2 * this.#background.ledger.unfinished + SLACK) this.#sweep()
    this.#unfinished.add(run as Run)
  }

  readonly #end = (message: unknown): void => {
    const { background, run } = message as TaskEvent
    if (background === this.#background && (run as Run).isOver) this.#finish(run as Run)
  }

  #sweep (): void {
    for (const run of this.#unfinished) if (run.isOver) this.#finish(run)
  }

  #finish (run: Run): void {
    if (!this.#unfinished.delete(run)) return
    if (run.state === 'failed') this.#failed.push(run)
    else if (run.state !== 'stored') this.#others.push(run)
  }
}
