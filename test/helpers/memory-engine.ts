import type { Delivery, Engine, EngineWorker, Outcome, StoredSnapshot, StoredTask } from '../../lib/engines/engine'

/** An engine whose every step is in the hands of a test. It keeps nothing beyond the process. */
export class MemoryEngine implements Engine {
  readonly name = 'memory'
  readonly features: { local: boolean }
  /** What it has, by id. */
  readonly tasks = new Map<string, StoredTask>()
  /** How many tasks came with each call of `store`. */
  readonly stores: number[] = []
  readonly released: string[] = []
  readonly cancelled: string[] = []
  readonly outcomes: Outcome[] = []
  readonly calls: string[] = []
  /** Takes the place of storing, if set. */
  onStore: (() => Promise<void>) | undefined
  worker: EngineWorker | undefined

  constructor ({ local = false } = {}) {
    this.features = { local }
  }

  async open (): Promise<void> { this.calls.push('open') }

  async store (tasks: readonly StoredTask[]): Promise<void> {
    this.stores.push(tasks.length)
    await this.onStore?.()
    for (const task of tasks) this.tasks.set(task.id, task)
  }

  release (ids: readonly string[]): void { this.released.push(...ids) }

  async work (worker: EngineWorker): Promise<void> {
    this.calls.push('work')
    this.worker = worker
  }

  async stop (): Promise<void> { this.calls.push('stop') }
  async close (): Promise<void> { this.calls.push('close') }

  async find (id: string): Promise<StoredSnapshot | undefined> {
    const task = this.tasks.get(id)
    return task === undefined ? undefined : { task, state: 'queued', attempt: 0 }
  }

  async cancel (id: string): Promise<boolean> {
    this.cancelled.push(id)
    return this.tasks.delete(id)
  }

  async list (): Promise<never> { throw new Error('not here') }
  async counts (): Promise<never> { throw new Error('not here') }
  async retry (): Promise<never> { throw new Error('not here') }
  watch (): never { throw new Error('not here') }

  /** Delivers what it has, one attempt of each, or of one. */
  async deliver (only?: string, delivery: Partial<Delivery> = {}): Promise<Outcome[]> {
    const tasks = [...this.tasks.values()].filter(({ id }) => only === undefined || id === only)
    return await Promise.all(tasks.map(async (task) => {
      const outcome = await this.worker!.run({ task, attempt: 1, restarts: 0, progress () {}, ...delivery })
      this.outcomes.push(outcome)
      if (outcome.state !== 'returned' && !(outcome.state === 'failed' && outcome.retryIn !== undefined)) this.tasks.delete(task.id)
      return outcome
    }))
  }
}
