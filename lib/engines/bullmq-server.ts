import type { FastifyBaseLogger } from 'fastify'
import type * as BullMQ from 'bullmq'
import { MAX_TIMER_DELAY } from '../checks'
import { FST_ERR_BACKGROUND_INVALID_OPTION } from '../errors'
import type { NewJob } from './bullmq-job'

export type Bullmq = typeof BullMQ
export type Classes = BullMQ.BackendClasses<BullMQ.IQueueBackend, unknown>
export type JobQueue = InstanceType<Classes['Queue']>
export type JobWorker = InstanceType<Classes['Worker']>
export type JobEvents = InstanceType<Classes['QueueEvents']>

/** The two kinds of connection, as options for BullMQ. */
export interface ConnectionOptions {
  readonly connection: unknown
  readonly prefix?: string
}

/** What differs between Redis and PostgreSQL. */
export interface Server {
  readonly bullmq: Bullmq
  /** BullMQ's classes for it. */
  readonly classes: Classes
  /** For calls that somebody waits for: they fail fast. */
  readonly producer: ConnectionOptions
  /** For what runs in the background: it waits until the server is back. */
  readonly consumer: ConnectionOptions
  /** Adds several jobs, all or none. Those that are there already, by their id, are left as they are. */
  add (queue: JobQueue, jobs: readonly NewJob[]): Promise<void>
  /** Whether it can keep such a JSON text as JSON. */
  keeps (json: string): boolean
  /** Whether an error says that it will never take what it was given. */
  refuses (error: unknown): boolean
  /** Whether an error says that another call was in the way: this one has done nothing, and may be made again at once. */
  isConflict (error: unknown): boolean
  /** Asked before one of BullMQ's classes is made. Rejects if such a one would be of no use. */
  reach (): Promise<void>
  /** Whether an error says that the server is there, but will not do. */
  isSetUpWrongly (error: unknown): boolean
  /** Warns of what endangers tasks. */
  inspect (queue: JobQueue, log: FastifyBaseLogger): Promise<void>
  /** How many of the failed jobs have been cancelled. */
  countCancelled (queue: JobQueue): Promise<number>
  /** The id of the last event of the queue. */
  lastEvent (queue: JobQueue): Promise<string>
  /** Takes the connections of one of BullMQ's objects away, for good. Does not wait for the server. */
  release (backend: BullMQ.IQueueBackend): Promise<void>
  /** Never rejects, and waits for the server no longer than for any other call. */
  close (): Promise<void>
}

// In time-outs.
const LOST = 10

/** How long a server may be silent, in milliseconds, before its connection is given up. */
export function lostAfter (timeout: number): number {
  return Math.min(LOST * timeout, MAX_TIMER_DELAY)
}

/**
 * Takes a package that this one does not depend on.
 *
 * @throws `FST_ERR_BACKGROUND_INVALID_OPTION` where it is missing.
 */
export function peer<T> (name: string, load: () => T): T {
  try {
    return load()
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code !== 'MODULE_NOT_FOUND') throw error
    throw new FST_ERR_BACKGROUND_INVALID_OPTION('engine', `the package ${name} to be there (npm i ${name})`,
      message.slice(0, (message + '\n').indexOf('\n')))
  }
}
