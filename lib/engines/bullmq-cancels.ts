// How a cancel finds the process that has the task at work: by the event stream of a queue without jobs. That of the
// queue itself would bring every process every event of every task.
import type { QueueEventsListener } from 'bullmq'
import { BLOCKING_TIMEOUT, Consumer } from './bullmq-consumer'
import type { JobEvents, JobQueue, Server } from './bullmq-server'

const SUFFIX = '~cancel'
const EVENT = 'cancel'
// What is read again by a process that starts. Cancels are for one round of one task, an old one does no harm.
const KEPT = 1_000
const FIRST = '0'

export interface Cancel {
  readonly id: string
  readonly round: number
  readonly reason: string
}

export async function publishCancel (queue: JobQueue, { id, round, reason }: Cancel): Promise<void> {
  await queue.getBackend().forQueue(queue.name + SUFFIX).publishEvent({ event: EVENT, id, round, reason }, KEPT)
}

/** Listens for the cancels of all processes. None is missed because of an outage: those meanwhile are read after it. */
export function listenForCancels (
  server: Server, queueName: string, report: (error: unknown) => void, listener: (cancel: Cancel) => void
): Consumer<JobEvents> {
  return new Consumer(server, () => {
    const events = new server.classes.QueueEvents(queueName + SUFFIX, { ...server.consumer, autorun: false, blockingTimeout: BLOCKING_TIMEOUT, lastEventId: FIRST })
    events.on<CancelListener>(EVENT, ({ id, round, reason }: Fields) => listener({ id, round: Number(round), reason }))
    return events
  }, report)
}

type Fields = Readonly<Record<keyof Cancel, string>>

interface CancelListener extends QueueEventsListener {
  [EVENT]: (fields: Fields) => void
}
