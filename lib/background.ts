import type { FastifyBaseLogger } from 'fastify'
import { Chain, unlink, type Linked } from './chain'
import type { Defined } from './defined'
import type { DurableTasks } from './durable-tasks'
import { createEntries, createRun, type Entry } from './entry'
import { FST_ERR_BACKGROUND_CLOSED, FST_ERR_BACKGROUND_INVALID_OPTION, FST_ERR_BACKGROUND_QUEUE_FULL } from './errors'
import { publishQueued } from './events'
import { GroupRun, type GroupOwner } from './group-run'
import { HeldBack } from './held-back'
import { History } from './history'
import { Lane } from './lane'
import { Ledger } from './ledger'
import type { ResolvedOptions } from './options'
import { resolvePolicy, type ResolvedPolicy } from './policy'
import { Slots } from './slots'
import { nameOf, toTasks } from './task'
import { Run, type RunHome } from './task-run'
import type { AppBackground, BackgroundStats, QueuedTask, TaskRun, TaskSnapshot } from './types'

/** Unfinished runs that have one order: a reply's queue, or a run or group outside a request. */
export interface Root extends Linked {
  /** Ends them all. */
  abort (): void
}

/** A reply's queue with unfinished runs that wait for the reply to settle. */
export interface OpenReply extends Root {
  /** Whether its handler is at work, or has just ended it: it will not be long. */
  readonly inHandler: boolean
  /** Settles it as it is. */
  settle (): void
}

/** `app.background`: all runs of one application. */
export class Background implements AppBackground, RunHome, GroupOwner {
  readonly log: FastifyBaseLogger
  readonly options: ResolvedOptions
  readonly ledger = new Ledger()
  readonly slots: Slots
  /** `null` where tasks run by themselves. */
  readonly held: HeldBack | null
  durable: DurableTasks | null = null
  /** Where runs wait for a reply. */
  readonly open = new Chain<OpenReply>()
  /** Where runs are at work, or wait for those before them. */
  readonly live = new Chain<Root>()
  /** Set while shutdown waits: called whenever it may have less to wait for. */
  onChange: (() => void) | undefined
  readonly #lane: Lane<Entry>
  readonly #policies = new WeakMap<Defined, ResolvedPolicy>()
  #toStore: Run[] = []
  #closed = false
  #history: History | undefined

  constructor (log: FastifyBaseLogger, options: ResolvedOptions) {
    this.log = log
    this.options = options
    this.slots = new Slots(options.concurrency, !options.autorun)
    this.held = options.autorun ? null : new HeldBack(this.ledger, this.slots)
    this.#lane = new Lane(this.slots)
    if (options.keepsHistory) this.keepHistory()
  }

  get onTaskError (): ResolvedOptions['onTaskError'] {
    return this.options.onTaskError
  }

  addTask (task: unknown, ...args: unknown[]): TaskRun<never> {
    const run = createRun(this, this, task, args, 'always')
    this.#start(run)
    publishQueued(this, run)
    return run as TaskRun as TaskRun<never>
  }

  addTasks (tasks: unknown): TaskRun[] {
    const { entries, runs } = createEntries(this, this, toTasks('addTasks()', tasks), 'always')
    for (const entry of entries) this.#start(entry)
    for (const run of runs) publishQueued(this, run)
    return runs
  }

  idle (): Promise<void> {
    return this.ledger.idle()
  }

  get queued (): QueuedTask[] {
    return this.#heldBack().queued
  }

  async runAll (): Promise<void> {
    await this.#heldBack().runAll()
  }

  stats (): BackgroundStats {
    return this.ledger.stats()
  }

  get (id: string): Run | undefined {
    return this.ledger.get(id) as Run | undefined ?? this.#history?.get(id)
  }

  async find (id: string): Promise<TaskSnapshot | undefined> {
    const run = this.get(id)
    if (run !== undefined && this.knowsBest(run)) return snapshotOf(run)
    return await this.durable?.findStored(id) ?? (run && snapshotOf(run))
  }

  /**
   * Whether a run is as this process knows it. An engine may have been told elsewhere to deliver again what is over; but
   * what a local one has is run here, where an end is known before the engine hears of it.
   */
  knowsBest (run: Run): boolean {
    return !run.isOver || !run.isDurable || (this.options.engine!.features.local && this.#history?.get(run.id) === run)
  }

  /** What is at work and what has finished lately: from the first call on, or from the start by the option `history`. */
  keepHistory (): History {
    this.#history ??= new History(this, this.options.history, this.#unfinished())
    return this.#history
  }

  async cancel (id: string): Promise<boolean> {
    if (this.get(id)?.cancel() === true) return true
    if (await this.durable?.cancelStored(id) !== true) return false
    // It had failed, as it seemed: a store that was too late.
    this.#history?.forget(id)
    return true
  }

  /** Has the engine deliver once more what has failed or was cancelled. @returns whether it was that. */
  async retry (id: string): Promise<boolean> {
    const finished = this.#history?.get(id)
    if (await this.options.engine?.retry(id) !== true) return false
    // It may have ended again by now.
    if (finished !== undefined && this.#history?.get(id) === finished) this.#history.forget(id)
    return true
  }

  admit (runs: number, first: Function): void {
    if (this.#closed) throw new FST_ERR_BACKGROUND_CLOSED(nameOf(first), 'refused')
    const { maxPending } = this.options
    if (this.ledger.unfinished + runs > maxPending) throw new FST_ERR_BACKGROUND_QUEUE_FULL(nameOf(first), maxPending)
  }

  policyOf (defined: Defined | undefined): ResolvedPolicy {
    if (defined === undefined) return this.options.policy
    let policy = this.#policies.get(defined)
    if (policy === undefined) this.#policies.set(defined, policy = resolvePolicy(defined.options, this.options.policy))
    return policy
  }

  /** From here on nothing is accepted. */
  close (): void {
    this.#closed = true
  }

  /** Nothing is at work any more. */
  closeHistory (): void {
    this.#history?.close()
  }

  due (run: Run): void {
    this.#lane.push(run)
  }

  ended (run: Run): void {
    unlink(run)
    if (!run.hasStarted) this.#lane.noteEnded()
    this.onChange?.()
  }

  groupEnded (group: GroupRun): void {
    unlink(group)
    this.#lane.noteEnded()
    this.onChange?.()
  }

  /** Those outside a request: before the first request there are no others. */
  * #unfinished (): Generator<Run> {
    for (const root of this.live) {
      if (root instanceof Run) yield root
      else if (root instanceof GroupRun) yield * root.unfinished
    }
  }

  #heldBack (): HeldBack {
    if (this.held === null) throw new FST_ERR_BACKGROUND_INVALID_OPTION('autorun', 'false, for "queued" and "runAll()"', 'true')
    return this.held
  }

  #start (entry: Entry): void {
    this.live.add(entry)
    if (entry instanceof Run && entry.isDurable) this.#store(entry)
    else this.#lane.push(entry)
  }

  /** Stores it, with all that are added in the same go. */
  #store (run: Run): void {
    if (this.#toStore.push(run) > 1) return
    queueMicrotask(() => {
      const runs = this.#toStore
      this.#toStore = []
      // Whoever asks is told by the runs.
      this.durable!.store(runs).then(() => this.durable!.release(runs), () => {})
    })
  }
}

function snapshotOf ({ id, name, state, attempt, progress, error, result, queuedAt, startedAt, finishedAt }: TaskRun): TaskSnapshot {
  return { id, name, state, attempt, progress, error, result, queuedAt, startedAt, finishedAt }
}
