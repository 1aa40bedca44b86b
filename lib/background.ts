import type { FastifyBaseLogger } from 'fastify'
import { Chain, unlink, type Linked } from './chain'
import { dispatch } from './dispatcher'
import { createEntry, createRun, type Entry } from './entry'
import { FST_ERR_BACKGROUND_CLOSED } from './errors'
import type { GroupOwner, GroupRun } from './group-run'
import { Ledger } from './ledger'
import type { ResolvedOptions } from './options'
import { toTasks } from './task'
import type { Run, RunHome } from './task-run'
import type { AppBackground, BackgroundStats, TaskRun } from './types'

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
  /** Where runs wait for a reply. */
  readonly open = new Chain<OpenReply>()
  /** Where runs are at work, or wait for those before them. */
  readonly live = new Chain<Root>()
  /** Set while shutdown waits: called whenever it may have less to wait for. */
  onProgress: (() => void) | undefined
  #closed = false

  constructor (log: FastifyBaseLogger, options: ResolvedOptions) {
    this.log = log
    this.options = options
  }

  get onTaskError (): ResolvedOptions['onTaskError'] {
    return this.options.onTaskError
  }

  addTask (task: unknown, ...args: unknown[]): TaskRun<never> {
    const run = createRun(this, this, task, args, 'always')
    this.#start(run)
    return run as TaskRun as TaskRun<never>
  }

  addTasks (tasks: unknown): TaskRun[] {
    const runs: Run[] = []
    for (const task of toTasks('addTasks()', tasks)) {
      this.#start(createEntry(this, this, task, 'always', runs))
    }
    return runs
  }

  idle (): Promise<void> {
    return this.ledger.idle()
  }

  stats (): BackgroundStats {
    return this.ledger.stats()
  }

  get (id: string): TaskRun | undefined {
    return this.ledger.get(id)
  }

  assertOpen (task: string): void {
    if (this.#closed) throw new FST_ERR_BACKGROUND_CLOSED(task)
  }

  /** From here on nothing is accepted. */
  close (): void {
    this.#closed = true
  }

  ended (run: Run): void {
    unlink(run)
    this.onProgress?.()
  }

  groupEnded (group: GroupRun): void {
    unlink(group)
    this.onProgress?.()
  }

  #start (entry: Entry): void {
    this.live.add(entry)
    dispatch(entry)
  }
}
