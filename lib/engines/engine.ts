import type { FastifyBaseLogger } from 'fastify'
import type { TaskProgress } from '../types'

/** A task as an engine keeps it: JSON through and through. */
export interface StoredTask {
  /** A UUID, the same over attempts, processes and machines. */
  readonly id: string
  /** The name of its definition. */
  readonly name: string
  readonly args: readonly unknown[]
  /** The id of the request that it was added in. */
  readonly reqId?: string | undefined
  /** What others want to go with it, a trace context for example. */
  readonly meta: Record<string, string>
  /** How many more attempts there are after a failed one. */
  readonly retries: number
  /** When it was accepted, in milliseconds since the epoch. */
  readonly queuedAt: number
}

/** One attempt that an engine asks for. */
export interface Delivery {
  readonly task: StoredTask
  /** The number of this attempt, from 1: those that came before it have failed. */
  readonly attempt: number
  /** How often a process died while it was at this task (D6). */
  readonly restarts: number
  /** Keeps how far the task has come, if it can. Never throws, never rejects. */
  progress (progress: TaskProgress): void
}

/** What became of a delivery. */
export type Outcome =
  | { readonly state: 'completed', readonly result: unknown }
  /** `retryIn`: the milliseconds until the next attempt; without it, there is none. */
  | { readonly state: 'failed', readonly error: unknown, readonly retryIn?: number }
  | { readonly state: 'cancelled', readonly reason: unknown }
  /** Handed back, to be delivered again after so many milliseconds, here or elsewhere. It costs no attempt (D5). */
  | { readonly state: 'returned', readonly delay: number }

/** Who does the work that an engine delivers. */
export interface EngineWorker {
  /**
   * How many runs may be active here at once, at least 1 or `Infinity`. What is delivered beyond that would wait, and
   * yet be taken for at work if the process dies (D6).
   */
  readonly concurrency: number
  /** Runs one attempt. Never rejects. The engine keeps the task to this process until it resolves. */
  run (delivery: Delivery): Promise<Outcome>
  /** Cancels the attempt of a task, if one is at work here: its `run` then resolves with `cancelled`. */
  cancel (id: string, reason: unknown): boolean
}

/** Where a task stands with its engine. `retrying`: it waits for its next attempt. */
export type StoredState = 'queued' | 'active' | 'retrying' | 'completed' | 'failed' | 'cancelled'

/** What an engine knows of a task. */
export interface StoredSnapshot {
  readonly task: StoredTask
  readonly state: StoredState
  /** The number of the attempt at work, or of the last one; 0 before the first. */
  readonly attempt: number
  readonly progress?: TaskProgress | undefined
  /** Of the last failed attempt, or why it was cancelled. */
  readonly error?: StoredError | undefined
  readonly result?: unknown
  readonly startedAt?: number | undefined
  readonly finishedAt?: number | undefined
}

/** What is left of an error that was stored. */
export interface StoredError {
  readonly name: string
  readonly message: string
  readonly code?: string | undefined
  readonly stack?: string | undefined
}

export interface StoredQuery {
  readonly state?: StoredState | undefined
  readonly name?: string | undefined
  /** How many at most: an integer of at least 1, or `Infinity`. An engine may give fewer, and a cursor for the rest. */
  readonly limit: number
  /** Where the last answer ended. */
  readonly cursor?: string | undefined
}

export interface StoredPage {
  /** The newest first. */
  readonly tasks: readonly StoredSnapshot[]
  /** For the next page; `undefined` if this was the last. */
  readonly cursor: string | undefined
}

/** A task has come to another state, or further: as much as the engine says. */
export interface StoredChange {
  readonly id: string
  readonly state: StoredState
  readonly progress?: TaskProgress | undefined
}

/** What an engine can do. It is asked at boot, so that nobody finds out at run time. */
export interface EngineFeatures {
  /**
   * Whether only the process that stores tasks can work on them. Then they wait for `release` before they start (T1),
   * and a process without a worker is refused.
   */
  readonly local: boolean
}

/**
 * Where durable tasks are kept and from where they are worked on. Written for two that ship with this package, a journal
 * and BullMQ; a third party can write another.
 *
 * All methods but `open` may reject when the engine is away; none may hang for ever, and when it is back, they work
 * again (D7). A task that was stored is delivered until it has come to an end, whatever becomes of the processes (D2).
 */
export interface Engine {
  /** How it is called in the log and in errors. */
  readonly name: string
  readonly features: EngineFeatures

  /**
   * Connects, or takes hold of what it writes to. An engine that is away for now is no reason to fail; one that is set
   * up wrongly is. One that has failed to open is not closed: it has let go of everything. It is opened once.
   */
  open (log: FastifyBaseLogger): Promise<void>

  /**
   * Stores tasks, all of them or none, so that they survive the process. A task that is there already, by its id, is
   * left as it is.
   */
  store (tasks: readonly StoredTask[]): Promise<void>

  /** Local engines: the reply that these tasks were stored with has left, they may start. */
  release (ids: readonly string[]): void

  /**
   * Begins to deliver, in the order of storing, to so many `run`s at once as the engine was set up for, and no more than
   * the worker's `concurrency`.
   */
  work (worker: EngineWorker): Promise<void>

  /**
   * Delivers no more from here on; what is at work goes on. A local engine goes on to deliver what this process has
   * stored itself, until `close`.
   */
  stop (): Promise<void>

  /** Waits until what has been delivered has an outcome and that is written, then lets go of everything. */
  close (): Promise<void>

  /** What cannot be the id of a task is that of none, here and below. */
  find (id: string): Promise<StoredSnapshot | undefined>
  /** Rejects with `FST_ERR_BACKGROUND_INVALID_OPTION` for a wrong query. */
  list (query: StoredQuery): Promise<StoredPage>
  /**
   * How many tasks stand in which state, as far as they are kept, and at no cost that grows with them: with BullMQ, one
   * that was handed back with a delay is among the `retrying`, though `find` and `list` know it as `queued`, and one that
   * waits and has been cancelled is where it waits until somebody takes it.
   */
  counts (): Promise<Readonly<Record<StoredState, number>>>
  /** Delivers a failed or cancelled task again, from its first attempt on. @returns whether it was one. */
  retry (id: string): Promise<boolean>
  /** Cancels a task that is not finished, wherever it is at work. @returns whether there was one. */
  cancel (id: string, reason: string): Promise<boolean>
  /** Calls back at changes, from all processes. @returns what ends it. */
  watch (listener: (change: StoredChange) => void): () => void
}
