import { randomUUID } from 'node:crypto'
import type { FastifyBaseLogger } from 'fastify'
import { unlink, type Chain, type Linked } from '../chain'
import { define } from '../definition'
import { definedBy, kFunction, type Defined } from '../defined'
import { describe } from '../describe'
import type { DurableTasks } from '../durable-tasks'
import {
  FST_ERR_BACKGROUND_STORE_FAILED, FST_ERR_BACKGROUND_TOO_MANY_RESTARTS, FST_ERR_BACKGROUND_UNKNOWN_TASK
} from '../errors'
import type { ResolvedOptions } from '../options'
import { reportUndropped } from '../report'
import type { Run, RunHome, RunOwner } from '../task-run'
import type { TaskSnapshot, When } from '../types'
import { within } from './deadline'
import { DurableRun, RETURN_DELAY, type RunKeeper } from './durable-run'
import type { Delivery, Engine, EngineWorker, Outcome, StoredSnapshot, StoredTask } from './engine'
import { fromPayload, toPayload } from './payload'
import { StoredRuns } from './stored-runs'

const CANCELLED = 'cancelled by its id'

// In a rolling deploy others know the name: it is not to wait for long.
const UNKNOWN_TASK_DELAY = 10_000

/** What durable tasks need of the application. */
export interface DurableHome extends RunHome {
  readonly log: FastifyBaseLogger
  readonly live: Chain<Linked & { abort (): void }>
  readonly onChange: (() => void) | undefined
}

export type DurableOptions = Pick<ResolvedOptions,
  'concurrency' | 'tasks' | 'worker' | 'storeTimeout' | 'maxArgsSize' | 'maxRestarts' | 'unknownTaskGrace'>

/** Connects the runs of an application with its engine: stores the one, runs what the other delivers. */
export class Durable implements DurableTasks, EngineWorker, RunKeeper {
  readonly #home: DurableHome
  readonly #engine: Engine
  readonly #options: DurableOptions
  // Local engines: what this process has stored, and will be delivered.
  readonly #own = new Map<string, DurableRun>()
  // Local engines: what has been handed back at shutdown.
  readonly #returned = new Set<string>()
  // Other engines: what may come back.
  readonly #stored = new StoredRuns()
  readonly #storing = new Map<string, { readonly run: DurableRun, readonly done: Promise<unknown> }>()

  constructor (home: DurableHome, engine: Engine, options: DurableOptions) {
    this.#home = home
    this.#engine = engine
    this.#options = options
  }

  get concurrency (): number {
    return this.#options.concurrency
  }

  get local (): boolean {
    return this.#engine.features.local
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
    return new DurableRun(this.#home, owner, this, defined, { task, when, unbound })
  }

  async store (given: readonly Run[]): Promise<void> {
    const runs = (given as readonly DurableRun[]).filter((run) => !run.isOver)
    if (runs.length === 0) return
    const done = this.#storeAll(runs)
    for (const run of runs) this.#storing.set(run.id, { run, done })
    const error = await done
    for (const { id } of runs) this.#storing.delete(id)
    if (error !== undefined) throw error
  }

  release (given: readonly Run[]): void {
    if (!this.local) return
    const runs = (given as readonly DurableRun[]).filter((run) => !run.isOver)
    for (const run of runs) {
      run.leaveTo(this.#owner(run.log))
      this.#home.live.add(run)
    }
    this.#engine.release(runs.map(({ id }) => id))
  }

  /** The engine is to deliver no more. Never rejects: what is at work is waited for all the same (L1). */
  async stop (): Promise<void> {
    try {
      await this.#ask(() => this.#engine.stop())
    } catch (err) {
      this.#home.log.warn({ err }, `the engine ${this.#engine.name} may deliver background tasks while the application closes`)
    }
  }

  async run (delivery: Delivery): Promise<Outcome> {
    const { task, restarts } = delivery
    const storing = this.#storing.get(task.id)
    if (storing !== undefined) {
      // The engine was faster to deliver it than to say that it has it.
      await storing.done
      const { state, error } = storing.run
      if (state === 'cancelled') return { state, reason: error }
    }
    if (this.#returned.has(task.id)) return { state: 'returned', delay: RETURN_DELAY }
    const defined = this.#options.tasks.get(task.name)
    if (defined === undefined) {
      const left = task.queuedAt + this.#options.unknownTaskGrace - Date.now()
      if (left > 0) return { state: 'returned', delay: Math.min(left, UNKNOWN_TASK_DELAY) }
      return this.#refuse(task, new FST_ERR_BACKGROUND_UNKNOWN_TASK(task.name))
    }
    if (restarts > this.#options.maxRestarts) return this.#refuse(task, new FST_ERR_BACKGROUND_TOO_MANY_RESTARTS(task.name, restarts))
    let args: unknown[]
    try {
      args = fromPayload(task.name, task.args)
    } catch (error) {
      return this.#refuse(task, error)
    }
    const run = this.#take(task, defined)
    if (run.next === null) this.#home.live.add(run)
    this.#home.held?.add(run, defined[kFunction].definition, args)
    return await run.deliver(delivery, defined, args, this.#owner(run.log))
  }

  cancel (id: string, reason: unknown): boolean {
    return this.#home.get(id)?.cancel(reason) ?? false
  }

  async findStored (id: string): Promise<TaskSnapshot | undefined> {
    const found = await this.#ask(() => this.#engine.find(id))
    return found === undefined ? undefined : snapshotOf(found)
  }

  async cancelStored (id: string): Promise<boolean> {
    return await this.#ask(() => this.#engine.cancel(id, CANCELLED))
  }

  left (run: DurableRun): void {
    this.#own.delete(run.id)
    if (run.state !== 'stored') return
    // Others may take it up, or this process again; what a local engine was given back is for the next process.
    if (this.local) this.#returned.add(run.id)
    else this.#stored.add(run)
  }

  cancelled (run: DurableRun): void {
    this.#drop(run).catch((error: unknown) => reportUndropped(run, error, run.log))
  }

  /** @returns why it could not: the runs have failed. */
  async #storeAll (runs: readonly DurableRun[]): Promise<Error | undefined> {
    try {
      await this.#ask(() => this.#engine.store(runs.map((run) => run.hand())))
    } catch (cause) {
      const names = [...new Set(runs.map(({ name }) => `"${name}"`))].join(', ')
      // Why is for the log, not for the client: it may name a path or a host.
      const error = Object.assign(new FST_ERR_BACKGROUND_STORE_FAILED(names, 'the engine has not taken it'), { cause })
      for (const run of runs) run.lose(error)
      return error
    }
    for (const run of runs) {
      // It may have been cancelled meanwhile.
      if (this.local && !run.isOver) this.#own.set(run.id, run)
      run.keep()
    }
  }

  /** The run of a task: the one that was added here, or else a new one. */
  #take (task: StoredTask, defined: Defined): DurableRun {
    const known = this.#own.get(task.id) ?? this.#stored.take(task.id)
    if (known !== undefined) return known
    const { log } = this.#home
    const owner = this.#owner(task.reqId === undefined ? log : log.child({ reqId: task.reqId }))
    return new DurableRun(this.#home, owner, this, defined, { task, when: 'always', unbound: false })
  }

  /** Fails a task that cannot be run, as visibly as one that has. */
  #refuse (task: StoredTask, error: unknown): Outcome {
    // Of the definition, nothing but the name is needed.
    const run = this.#take(task, definedBy(define(Function.prototype as () => void, { name: task.name }))!)
    run.refuse(error, this.#owner(run.log))
    return { state: 'failed', error }
  }

  /** Waits for the engine, but no longer than `storeTimeout`. */
  async #ask<T> (question: () => Promise<T>): Promise<T> {
    return await within(this.#options.storeTimeout, this.#engine.name, question)
  }

  #owner (log: FastifyBaseLogger): RunOwner {
    return {
      log,
      due: (run) => { this.#home.slots.request(run) },
      ended: (run) => {
        unlink(run)
        // It may stand in line for a slot, by itself.
        if (!run.hasStarted) this.#home.slots.noteIdle()
        this.#home.onChange?.()
      }
    }
  }

  async #drop ({ id, error }: DurableRun): Promise<void> {
    await this.#ask(() => this.#engine.cancel(id, messageOf(error)))
  }
}

function snapshotOf ({ task, state, attempt, progress, error, result, startedAt, finishedAt }: StoredSnapshot): TaskSnapshot {
  const { id, name, queuedAt } = task
  return { id, name, state, attempt, progress, error, result, queuedAt, startedAt, finishedAt }
}

function messageOf (error: unknown): string {
  return error instanceof Error ? error.message : typeof error === 'string' ? error : describe(error)
}
