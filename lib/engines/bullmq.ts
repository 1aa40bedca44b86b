import type { FastifyBaseLogger } from 'fastify'
import { FST_ERR_BACKGROUND_INVALID_OPTION } from '../errors'
import { listenForCancels } from './bullmq-cancels'
import { Changes } from './bullmq-changes'
import type { Consumer } from './bullmq-consumer'
import { cancelJob, findJob, retryJob } from './bullmq-control'
import { within } from './deadline'
import { Deliveries } from './bullmq-deliveries'
import { isAboutJob, toCancelError } from './bullmq-failure'
import { toJob, toSnapshot } from './bullmq-job'
import { assertListable, listJobs } from './bullmq-list'
import { resolveOptions, type BullmqOptions, type ResolvedOptions } from './bullmq-options'
import { postgresServer } from './bullmq-postgres'
import { Producer } from './bullmq-producer'
import { redisServer } from './bullmq-redis'
import type { JobEvents, JobQueue, JobWorker, Server } from './bullmq-server'
import { Trouble } from './bullmq-trouble'
import { stripped } from './bullmq-stripped'
import { startWorker } from './bullmq-worker'
import type { Engine, EngineWorker, StoredChange, StoredPage, StoredQuery, StoredSnapshot, StoredState, StoredTask } from './engine'
import { ignore } from './quietly'

export type { BullmqOptions, Keep } from './bullmq-options'

// How long a start waits for a server, in milliseconds: Fastify gives a plugin 10 s, whatever the time-out is.
const MAX_START_WAIT = 2_000

/**
 * Keeps durable tasks in a queue of BullMQ 6 (https://docs.bullmq.io), on Redis or PostgreSQL, for as many processes as
 * there are. Needs the packages `bullmq` and `ioredis`, or `bullmq` and `pg`.
 *
 * A task may start as soon as it is stored, on any process with a worker.
 *
 * @throws `FST_ERR_BACKGROUND_INVALID_OPTION` for a wrong option, and where a package is missing.
 */
export function bullmq (options: BullmqOptions): Engine {
  const resolved = resolveOptions(options)
  return new BullmqEngine(resolved, serverOf(resolved))
}

function serverOf ({ connection, prefix, timeout, migrate }: ResolvedOptions): Server {
  return connection.server === 'redis'
    ? redisServer(connection.options, prefix, timeout)
    : postgresServer({ ...connection, migrate, timeout })
}

class BullmqEngine implements Engine {
  readonly name = 'bullmq'
  readonly features = Object.freeze({ local: false })
  readonly #options: ResolvedOptions
  readonly #startWait: number
  readonly #server: Server
  readonly #producer: Producer
  readonly #changes: Changes
  #log!: FastifyBaseLogger
  // Once it has been opened.
  #trouble: Trouble | undefined
  #deliveries: Deliveries | undefined
  #worker: Consumer<JobWorker> | undefined
  #cancels: Consumer<JobEvents> | undefined
  #closing: Promise<void> | undefined
  #isClosed = false

  constructor (options: ResolvedOptions, server: Server) {
    this.#options = options
    this.#startWait = Math.min(options.timeout, MAX_START_WAIT)
    this.#server = server
    this.#producer = new Producer(server, options.queue, this.#report)
    this.#changes = new Changes(server, options.queue, async () => await server.lastEvent(await this.#producer.queue()), this.#report)
  }

  async open (log: FastifyBaseLogger): Promise<void> {
    if (this.#trouble !== undefined) throw new UnusableError('open', 'it has been opened before: one application, one bullmq()')
    this.#log = log
    this.#trouble = new Trouble(log, this.#options.timeout, () => this.#answer('probe', (queue) => queue.getJobCounts('active')))
    try {
      await this.#ask('open', (queue) => this.#server.inspect(queue, log), this.#startWait)
    } catch (error) {
      if (!this.#server.isSetUpWrongly(error)) return
      await this.close()
      throw new FST_ERR_BACKGROUND_INVALID_OPTION('connection', 'a server that can be used', (error as Error).message)
    }
  }

  async store (tasks: readonly StoredTask[]): Promise<void> {
    await this.#ask('store', async (queue) => {
      const jobs = tasks.map((task) => toJob(this.#server, task))
      const [first, ...others] = jobs
      // One alone, the most frequent case, is faster without a transaction.
      if (first !== undefined && others.length === 0) await queue.add(first.name, first.data, first.opts)
      else await this.#server.add(queue, jobs)
    })
  }

  release (): void {}

  async work (worker: EngineWorker): Promise<void> {
    this.#assertOpen('work', this.#closing !== undefined)
    const deliveries = this.#deliveries = new Deliveries(this.#server, worker, this.#log)
    this.#cancels = listenForCancels(this.#server, this.#options.queue, this.#report, (cancel) => deliveries.cancel(cancel))
    this.#worker = startWorker(this.#server, this.#options, worker.concurrency, deliveries, this.#report)
    const started = [this.#worker.started, this.#cancels.started]
    // They go on trying.
    await within(this.#startWait, 'bullmq: work', () => Promise.all(started)).catch(this.#report)
  }

  async stop (): Promise<void> {
    this.#deliveries?.stop()
    this.#worker?.stop()
  }

  async close (): Promise<void> {
    const trouble = this.#trouble
    if (trouble !== undefined) await (this.#closing ??= this.#close(trouble))
  }

  async find (id: string): Promise<StoredSnapshot | undefined> {
    return await this.#ask('find', async (queue) => {
      const found = await findJob(this.#server.bullmq, queue, id)
      return found && toSnapshot(found.job, found.state)
    })
  }

  async list (query: StoredQuery): Promise<StoredPage> {
    assertListable(query)
    return await this.#ask('list', (queue) => listJobs(this.#server.bullmq, queue, query))
  }

  async counts (): Promise<Record<StoredState, number>> {
    return await this.#ask('counts', async (queue) => {
      const [counts, cancelled] = await Promise.all([queue.getJobCounts(), this.#server.countCancelled(queue)])
      const { waiting = 0, prioritized = 0, delayed = 0, active = 0, completed = 0, failed = 0 } = counts
      return { queued: waiting + prioritized, active, retrying: delayed, completed, failed: failed - cancelled, cancelled }
    })
  }

  async retry (id: string): Promise<boolean> {
    return await this.#ask('retry', async (queue) => {
      const found = await findJob(this.#server.bullmq, queue, id)
      return found !== undefined && await retryJob(this.#server, found)
    })
  }

  async cancel (id: string, reason: string): Promise<boolean> {
    return await this.#ask('cancel', async (queue) => {
      const found = await findJob(this.#server.bullmq, queue, id)
      return found !== undefined && await cancelJob(this.#server, queue, found, toCancelError(reason).message)
    })
  }

  watch (listener: (change: StoredChange) => void): () => void {
    // Nothing is to be told any more, and a connection would be left.
    if (this.#closing !== undefined) return ignore
    this.#assertOpen('watch')
    return this.#changes.watch(listener)
  }

  #assertOpen (what: string, isClosed = this.#isClosed): void {
    if (this.#trouble === undefined) throw new UnusableError(what, 'it has not been opened')
    if (isClosed) throw new UnusableError(what, 'it has been closed')
  }

  async #ask<T> (what: string, action: (queue: JobQueue) => Promise<T>, timeout = this.#options.timeout): Promise<T> {
    this.#assertOpen(what)
    try {
      return await this.#answer(what, action, timeout)
    } catch (error) {
      this.#report(error)
      throw error
    }
  }

  async #answer<T> (what: string, action: (queue: JobQueue) => Promise<T>, timeout = this.#options.timeout): Promise<T> {
    return await within(timeout, `bullmq: ${what}`, async (isOver) => {
      const queue = await this.#producer.queue()
      // Whoever watches is told of what is done from here on.
      await this.#changes.begun
      // What has been refused must not be done when the server is back.
      return isOver() ? undefined as T : await action(queue)
    })
  }

  // The one door: what is thrown on from here has been reported.
  readonly #report = (error: unknown): void => {
    const err = stripped(error)
    if (isAboutJob(err)) this.#log.warn({ err }, 'bullmq: the hold on a task was lost, it may run twice')
    else if (!this.#server.isConflict(err)) this.#trouble?.report(err)
  }

  async #close (trouble: Trouble): Promise<void> {
    await this.stop()
    await this.#deliveries?.idle()
    const { timeout } = this.#options
    // Else, the server is away.
    await within(timeout, 'bullmq: close', async () => await this.#worker?.drained()).catch(this.#report)
    const unwritten = this.#deliveries?.writing ?? 0
    if (unwritten > 0) this.#log.warn(`bullmq: the outcomes of ${unwritten} tasks could not be written, they are started again`)
    this.#isClosed = true
    trouble.close()
    await Promise.allSettled([this.#worker, this.#cancels, this.#changes, this.#producer].map((part) => part?.close()))
    await this.#server.close()
  }
}

class UnusableError extends Error {
  constructor (what: string, why: string) {
    super(`bullmq: ${what}: the engine cannot be used: ${why}`)
  }
}
