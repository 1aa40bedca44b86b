import { randomUUID } from 'node:crypto'
import type { FastifyBaseLogger } from 'fastify'
import { unlink, type Chain, type Linked } from '../chain'
import { define } from '../definition'
import { definedBy, type Defined } from '../defined'
import type { DurableTasks } from '../durable-tasks'
import {
  FST_ERR_BACKGROUND_STORE_FAILED, FST_ERR_BACKGROUND_TOO_MANY_RESTARTS, FST_ERR_BACKGROUND_UNKNOWN_TASK
} from '../errors'
import type { Run, RunHome, RunOwner } from '../task-run'
import type { TaskSnapshot, When } from '../types'
import { withDeadline } from './deadline'
import { DurableRun, type StoredOwner } from './durable-run'
import type { Delivery, Engine, EngineWorker, Outcome, StoredSnapshot, StoredTask } from './engine'
import { fromPayload, toPayload } from './payload'
import { StoredRuns } from './stored-runs'

const CANCELLED = 'cancelled by its id'

/** What durable tasks need of the application. */
export interface DurableHome extends RunHome {
  readonly log: FastifyBaseLogger
  readonly live: Chain<Linked & { abort (): void }>
  readonly onChange: (() => void) | undefined
}

export interface DurableOptions {
  readonly tasks: ReadonlyMap<string, Defined>
  readonly worker: boolean
  readonly storeTimeout: number
  readonly maxArgsSize: number
  readonly maxRestarts: number
  readonly unknownTaskGrace: number
}

/** Connects the runs of an application with its engine: stores the one, runs what the other delivers. */
export class Durable implements DurableTasks, EngineWorker {
  readonly #home: DurableHome
  readonly #engine: Engine
  readonly #options: DurableOptions
  // Local engines: what this process has stored, and will be delivered.
  readonly #own = new Map<string, DurableRun>()
  // Other engines: what may come back.
  readonly #stored = new StoredRuns()

  constructor (home: DurableHome, engine: Engine, options: DurableOptions) {
    this.#home = home
    this.#engine = engine
    this.#options = options
  }

  payload (defined: Defined, args: readonly unknown[]): readonly unknown[] {
    const { name } = defined.options
    const { tasks, worker, maxArgsSize } = this.#options
    // A process that only stores need not have the tasks.
    if (!tasks.has(name) && (worker || tasks.size > 0)) throw new FST_ERR_BACKGROUND_UNKNOWN_TASK(name)
    return toPayload(name, args, maxArgsSize)
  }

  create (
    owner: RunOwner, defined: Defined, payload: readonly unknown[], when: When, unbound: boolean, reqId: string | undefined
  ): Run {
    const { name } = defined.options
    const { retries } = this.#home.policyOf(defined)
    const task = { id: randomUUID(), name, args: payload, reqId, meta: {}, retries, queuedAt: Date.now() }
    return new DurableRun(this.#home, owner, defined, { task, when, unbound, local: this.#engine.features.local })
  }

  async store (given: readonly Run[]): Promise<void> {
    const runs = given as readonly DurableRun[]
    const tasks = runs.map(({ task }) => task)
    try {
      await withDeadline(this.#engine.store(tasks), this.#options.storeTimeout)
    } catch (cause) {
      const names = [...new Set(runs.map(({ name }) => `"${name}"`))].join(', ')
      const error = new FST_ERR_BACKGROUND_STORE_FAILED(names, messageOf(cause))
      error.cause = cause
      for (const run of runs) run.lose(error)
      throw error
    }
    for (const run of runs) {
      // It may have been cancelled meanwhile.
      if (run.isOver) this.#forget(run, run.error)
      else if (this.#engine.features.local) this.#own.set(run.id, run)
      else this.#stored.add(run)
      run.keep()
    }
  }

  release (given: readonly Run[]): void {
    if (!this.#engine.features.local) return
    const runs = (given as readonly DurableRun[]).filter((run) => !run.isOver)
    for (const run of runs) {
      run.leaveTo(this.#owner(run.log))
      this.#home.live.add(run)
    }
    this.#engine.release(runs.map(({ id }) => id))
  }

  async run (delivery: Delivery): Promise<Outcome> {
    const { task, restarts } = delivery
    const { tasks, maxRestarts, unknownTaskGrace } = this.#options
    const defined = tasks.get(task.name)
    if (defined === undefined) {
      const left = task.queuedAt + unknownTaskGrace - Date.now()
      if (left > 0) return { state: 'returned', delay: left }
      return this.#refuse(task, new FST_ERR_BACKGROUND_UNKNOWN_TASK(task.name))
    }
    if (restarts > maxRestarts) return this.#refuse(task, new FST_ERR_BACKGROUND_TOO_MANY_RESTARTS(task.name, restarts))
    let args: unknown[]
    try {
      args = fromPayload(task.name, task.args)
    } catch (error) {
      return this.#refuse(task, error)
    }
    const run = this.#own.get(task.id) ?? this.#stored.take(task.id) ?? this.#recreate(task, defined)
    if (run.next === null) this.#home.live.add(run)
    return await run.deliver(delivery, args, this.#owner(run.log))
  }

  cancel (id: string, reason: unknown): boolean {
    return this.#home.get(id)?.cancel(reason) ?? false
  }

  async findStored (id: string): Promise<TaskSnapshot | undefined> {
    const found = await withDeadline(this.#engine.find(id), this.#options.storeTimeout)
    return found === undefined ? undefined : snapshotOf(found)
  }

  async cancelStored (id: string): Promise<boolean> {
    return await withDeadline(this.#engine.cancel(id, CANCELLED), this.#options.storeTimeout)
  }

  /** A run that was added elsewhere, or before this process began. */
  #recreate (task: StoredTask, defined: Defined): DurableRun {
    const { log } = this.#home
    const owner = this.#owner(task.reqId === undefined ? log : log.child({ reqId: task.reqId }))
    return new DurableRun(this.#home, owner, defined, { task, when: 'always', unbound: false, local: this.#engine.features.local })
  }

  /** Fails a task that cannot be run, as visibly as one that has. */
  #refuse (task: StoredTask, error: unknown): Outcome {
    const run = this.#own.get(task.id) ?? this.#stored.take(task.id) ??
      this.#recreate(task, definedBy(define(function unknown () {}, { name: task.name }))!)
    run.within(() => run.fail(error))
    return { state: 'failed', error }
  }

  #owner (log: FastifyBaseLogger): StoredOwner {
    return {
      log,
      due: (run) => { this.#home.slots.request(run) },
      ended: (run) => {
        unlink(run)
        this.#own.delete(run.id)
        // Other processes may take it up, or this one again.
        if (run.state === 'stored') this.#stored.add(run as DurableRun)
        this.#home.onChange?.()
      },
      cancelled: (run, reason) => this.#forget(run, reason)
    }
  }

  /** Has the engine drop a run that was cancelled here while it was there. */
  #forget ({ id, name, log }: DurableRun, reason: unknown): void {
    this.#engine.cancel(id, messageOf(reason)).catch((err: unknown) => {
      log.warn({ err, task: name, taskId: id }, 'background task cancelled, but its engine may still run it')
    })
  }
}

function snapshotOf ({ task, state, attempt, progress, error, result, startedAt, finishedAt }: StoredSnapshot): TaskSnapshot {
  const { id, name, queuedAt } = task
  return { id, name, state, attempt, progress, error, result, queuedAt, startedAt, finishedAt }
}

function messageOf (error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
