import timers from 'node:timers'
import type { Ledger } from './ledger'
import type { Slots } from './slots'
import type { QueuedTask, TaskRun } from './types'

// As it is now: a test's fake clock takes its place for a while.
const { setImmediate } = timers

/** With `autorun: false`: what was added, and waits for `runAll`. Until that is called, there is a slot for none of it. */
export class HeldBack {
  readonly #ledger: Ledger
  readonly #slots: Slots
  // In the order of their coming, up to the end of the next `runAll`. One that an engine brings again keeps its place.
  readonly #tasks = new Map<TaskRun, QueuedTask>()
  #running: Promise<void> | undefined

  constructor (ledger: Ledger, slots: Slots) {
    this.#ledger = ledger
    this.#slots = slots
  }

  get isRunning (): boolean {
    return this.#running !== undefined
  }

  get queued (): QueuedTask[] {
    return [...this.#tasks.values()].filter(({ run }) => run.state === 'queued')
  }

  add (run: TaskRun, task: Function, args: readonly unknown[]): void {
    this.#tasks.set(run, { name: run.name, task, args, run })
  }

  /** Rejects with what the run has failed with since the last time that did; with all of it, if more than one has. */
  runAll (): Promise<void> {
    this.#running ??= this.#run()
    return this.#running
  }

  async #run (): Promise<void> {
    this.#slots.open()
    do {
      await this.#ledger.idle()
      // What has a slot, and nothing to start any more, gives it back in its turn. Whoever waited for a run may add another.
      await new Promise(setImmediate)
    } while (this.#ledger.unfinished > 0 || !this.#slots.isUnused)
    this.#slots.hold()
    this.#running = undefined
    const failed = this.#takeEnded().filter(({ state }) => state === 'failed')
    if (failed.length === 1) throw failed[0].error
    if (failed.length > 1) throw aggregate(failed)
  }

  #takeEnded (): TaskRun[] {
    // What an engine has may come back.
    const ended = [...this.#tasks.keys()].filter(({ state }) => state !== 'stored')
    for (const run of ended) this.#tasks.delete(run)
    return ended
  }
}

function aggregate (failed: readonly TaskRun[]): Error {
  const names = failed.map(({ name }) => `"${name}"`).join(', ')
  return new AggregateError(failed.map(({ error }) => error), `${failed.length} background tasks failed: ${names}`)
}
