import { BLOCKING_TIMEOUT, Consumer } from './bullmq-consumer'
import { isCancelledReason } from './bullmq-failure'
import { progressOf } from './bullmq-job'
import type { JobEvents, Server } from './bullmq-server'
import type { StoredChange, StoredState } from './engine'
import { ignore, quietly } from './quietly'

const FROM_NOW_ON = '$'

type Listener = (change: StoredChange) => void

/** The changes of all tasks. There is a connection for them only while somebody listens. */
export class Changes {
  readonly #open: () => Consumer<JobEvents>
  readonly #listeners = new Set<Listener>()
  #consumer: Consumer<JobEvents> | undefined

  /** @param last Asks for the id of the last event that there was. */
  constructor (server: Server, queueName: string, last: () => Promise<string>, report: (error: unknown) => void) {
    this.#open = () => {
      // Asked now, so that nothing is missed while the connection is made.
      const lastEventId = last().catch(() => FROM_NOW_ON)
      return new Consumer(server, async () => {
        const options = { ...server.consumer, autorun: false, blockingTimeout: BLOCKING_TIMEOUT, lastEventId: await lastEventId }
        const events = new server.classes.QueueEvents(queueName, options)
        this.#listen(events)
        return events
      }, report)
    }
  }

  /** @returns what ends it. */
  watch (listener: Listener): () => void {
    // A listener may be given twice.
    const own: Listener = (change) => listener(change)
    this.#listeners.add(own)
    this.#consumer ??= this.#open()
    return () => {
      this.#listeners.delete(own)
      if (this.#listeners.size === 0) this.close().catch(ignore)
    }
  }

  async close (): Promise<void> {
    const consumer = this.#consumer
    this.#consumer = undefined
    await consumer?.close()
  }

  #listen (events: JobEvents): void {
    const tell = (id: string, state: StoredState, progress?: StoredChange['progress']): void => {
      for (const listener of this.#listeners) quietly(() => listener({ id, state, progress }))
    }
    events.on('waiting', ({ jobId, prev }) => {
      // One that was delayed has not come further: it goes on waiting.
      if (prev !== 'delayed') tell(jobId, 'queued')
    })
    events.on('delayed', ({ jobId }) => tell(jobId, 'retrying'))
    events.on('active', ({ jobId }) => tell(jobId, 'active'))
    events.on('progress', ({ jobId, data }) => tell(jobId, 'active', progressOf(data)))
    events.on('completed', ({ jobId }) => tell(jobId, 'completed'))
    events.on('failed', ({ jobId, failedReason }) => tell(jobId, isCancelledReason(failedReason) ? 'cancelled' : 'failed'))
  }
}
