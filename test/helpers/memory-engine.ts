import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import type background from '../../lib/index'
import type { Delivery, Engine, EngineWorker, Outcome, StoredSnapshot, StoredTask } from '../../lib/engines/engine'
import { createApp } from './app'

interface Test { teardown: (fn: () => unknown) => void }

/** An engine whose every step is in the hands of a test. It keeps nothing beyond the process. */
export class MemoryEngine implements Engine {
  readonly name = 'memory'
  readonly features: { local: boolean }
  /** What it has, by id. */
  readonly tasks = new Map<string, StoredTask>()
  /** The names of the tasks that came with each call of `store`. */
  readonly stores: string[][] = []
  readonly released: string[] = []
  readonly cancelled: Array<[id: string, reason: string]> = []
  readonly calls: string[] = []
  /** Come before what these do, if set. */
  onOpen: (() => Promise<void>) | undefined
  onStore: (() => Promise<void>) | undefined
  onFind: (() => Promise<void>) | undefined
  onCancel: (() => Promise<void>) | undefined
  worker: EngineWorker | undefined
  app: FastifyInstance | undefined

  constructor ({ local = false } = {}) {
    this.features = { local }
  }

  async open (): Promise<void> {
    this.calls.push('open')
    await this.onOpen?.()
  }

  async store (tasks: readonly StoredTask[]): Promise<void> {
    this.stores.push(tasks.map(({ name }) => name))
    await this.onStore?.()
    // As a store would.
    for (const task of tasks) this.tasks.set(task.id, JSON.parse(JSON.stringify(task)) as StoredTask)
  }

  release (ids: readonly string[]): void { this.released.push(...ids) }

  async work (worker: EngineWorker): Promise<void> {
    this.calls.push('work')
    this.worker = worker
  }

  async stop (): Promise<void> { this.calls.push('stop') }
  async close (): Promise<void> { this.calls.push('close') }

  async find (id: string): Promise<StoredSnapshot | undefined> {
    await this.onFind?.()
    const task = this.tasks.get(id)
    return task === undefined ? undefined : { task, state: 'queued', attempt: 0 }
  }

  async cancel (id: string, reason: string): Promise<boolean> {
    this.cancelled.push([id, reason])
    await this.onCancel?.()
    return this.tasks.delete(id)
  }

  async list (): Promise<never> { throw new Error('not here') }
  async counts (): Promise<never> { throw new Error('not here') }
  async retry (): Promise<never> { throw new Error('not here') }
  watch (): never { throw new Error('not here') }

  /** The only task that it has. */
  get only (): StoredTask {
    const [task, ...others] = this.tasks.values()
    if (task === undefined || others.length > 0) throw new Error(`${this.tasks.size} tasks are stored`)
    return task
  }

  /** Asks for an attempt of a task, which it lets go of if that was the last. */
  async deliver (task: StoredTask, delivery: Partial<Delivery> = {}): Promise<Outcome> {
    if (this.worker === undefined) await this.app!.ready()
    const outcome = await this.worker!.run({ task, attempt: 1, restarts: 0, progress () {}, ...delivery })
    if (outcome.state !== 'returned' && !(outcome.state === 'failed' && outcome.retryIn !== undefined)) this.tasks.delete(task.id)
    return outcome
  }
}

/** A fresh app with such an engine. */
export async function createDurableApp (
  t: Test, tasks: readonly background.TaskDefinition[],
  { local, ...options }: background.BackgroundOptions & { local?: boolean } = {}, server?: FastifyServerOptions
): Promise<{ app: FastifyInstance, engine: MemoryEngine }> {
  const engine = new MemoryEngine({ local })
  const app = engine.app = await createApp(t, { engine, tasks, closeTimeout: 0, ...options }, server)
  return { app, engine }
}
