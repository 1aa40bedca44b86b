import { BLOCKING_TIMEOUT, Consumer } from './bullmq-consumer'
import { isCancelledReason } from './bullmq-failure'
import { progressOf } from './bullmq-job'
import type { JobEvents, Server } from './bullmq-server'
import type { StoredChange, StoredState } from './engine'
import { Listeners } from './listeners'
import { ignore } from './quietly'

/** The changes of all tasks. There is a connection for them only while somebody listens. */
export class Changes {
  readonly #server: Server
  readonly #queueName: string
  readonly #last: () => Promise<string>
  readonly #report: (error: unknown) => void
  readonly #listeners = new Listeners()
  #consumer: Consumer<JobEvents> | undefined
  #begun: Promise<string | undefined> | undefined

  /** @param last Asks for the id of the last event that there was. */
  constructor (server: Server, queueName: string, last: () => Promise<string>, report: (error: unknown) => void) {
    this.#server = server
    this.#queueName = queueName
    this.#last = last
    this.#report = report
  }

  /** Once it has resolved, what happens is told to those who listen now. Never rejects. */
  get begun (): Promise<unknown> | undefined {
    return this.#begun
  }

  /** @returns what ends it. */
  watch (listener: (change: StoredChange) => void): () => void {
    const remove = this.#listeners.add(listener)
    this.#consumer ??= this.#open()
    return () => {
      remove()
      if (this.#listeners.size === 0) this.close().catch(ignore)
    }
  }

  async close (): Promise<void> {
    const consumer = this.#consumer
    this.#consumer = undefined
    this.#begun = undefined
    await consumer?.close()
  }

  #open (): Consumer<JobEvents> {
    // Asked now, so that nothing is missed while the connection is made; and again there, if the server is away.
    this.#begun = this.#last().catch(() => undefined)
    let seen: string | Promise<string | undefined> | undefined = this.#begun
    return new Consumer(this.#server, async () => {
      // Never from "now" on: BullMQ takes that anew with each look, and what happens between two looks is lost.
      const lastEventId = await seen ?? await this.#last()
      const options = { ...this.#server.consumer, autorun: false, blockingTimeout: BLOCKING_TIMEOUT, lastEventId }
      const events = new this.#server.classes.QueueEvents(this.#queueName, options)
      this.#listen(events, (eventId) => { seen = eventId })
      return events
    }, this.#report)
  }

  /** @param see Is told how far the events have been read. */
  #listen (events: JobEvents, see: (eventId: string) => void): void {
    const tell = (eventId: string, id: string, state: StoredState, progress?: StoredChange['progress']): void => {
      see(eventId)
      this.#listeners.tell({ id, state, progress })
    }
    events.on('waiting', ({ jobId, prev }, eventId) => {
      // One that was delayed has not come further: it goes on waiting.
      if (prev !== 'delayed') tell(eventId, jobId, 'queued')
    })
    events.on('delayed', ({ jobId }, eventId) => tell(eventId, jobId, 'retrying'))
    events.on('active', ({ jobId }, eventId) => tell(eventId, jobId, 'active'))
    events.on('progress', ({ jobId, data }, eventId) => tell(eventId, jobId, 'active', progressOf(data)))
    events.on('completed', ({ jobId }, eventId) => tell(eventId, jobId, 'completed'))
    events.on('failed', ({ jobId, failedReason }, eventId) => tell(eventId, jobId, isCancelledReason(failedReason) ? 'cancelled' : 'failed'))
  }
}
