import type { DurableRun } from './durable-run'

/**
 * Runs of this process that an engine has, for the case that it brings one back here. They are not kept for that: a run
 * that nobody holds is made anew.
 */
export class StoredRuns {
  readonly #refs = new Map<string, WeakRef<DurableRun>>()
  readonly #collected = new FinalizationRegistry<string>((id) => { this.#refs.delete(id) })

  add (run: DurableRun): void {
    this.#refs.set(run.id, new WeakRef(run))
    this.#collected.register(run, run.id, run)
  }

  take (id: string): DurableRun | undefined {
    const run = this.#refs.get(id)?.deref()
    this.#refs.delete(id)
    if (run !== undefined) this.#collected.unregister(run)
    return run
  }
}
