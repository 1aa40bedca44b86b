import type { KeepJobs } from 'bullmq'
import { BLOCKING_TIMEOUT, Consumer } from './bullmq-consumer'
import type { Deliveries } from './bullmq-deliveries'
import { insistent } from './bullmq-insist'
import { readJob } from './bullmq-job'
import type { Keep, ResolvedOptions } from './bullmq-options'
import type { JobWorker, Server } from './bullmq-server'

// The plugin decides how often a task may be started again (D6), so BullMQ must not.
const MAX_STALLED = 1_000_000
// Stalled tasks are looked for so many times within `lockDuration`.
const CHECKS = 5

/** @param room How many tasks may be at work in this process, whatever the options say. */
export function startWorker (
  server: Server, options: ResolvedOptions, room: number, deliveries: Deliveries, report: (error: unknown) => void
): Consumer<JobWorker> {
  const { bullmq, classes, consumer } = server
  const { queue, concurrency, lockDuration, keepCompleted, keepFailed, timeout } = options
  const Job = insistent(bullmq, server, { report, lost: (id) => deliveries.lost(id) })
  return new Consumer(server, () => {
    const worker = new classes.Worker(queue, deliveries.process, {
      ...consumer,
      autorun: false,
      concurrency: Math.min(concurrency, room),
      lockDuration,
      stalledInterval: lockDuration / CHECKS,
      maxStalledCount: MAX_STALLED,
      removeOnComplete: toKeepJobs(keepCompleted),
      removeOnFail: toKeepJobs(keepFailed),
      drainDelay: BLOCKING_TIMEOUT / 1_000,
      // After an error of the connection; 15 s by default. The hold on a task is not renewed meanwhile.
      runRetryDelay: Math.min(timeout, lockDuration / CHECKS),
      settings: { backoffStrategy: deliveries.backoff }
    })
    worker.on('completed', (job) => deliveries.written(job.id as string))
    worker.on('failed', (job) => deliveries.written(job?.id as string))
    // One that BullMQ cannot read would never be handed to us, and come back for ever.
    Object.assign(worker, {
      createJob: (json: Parameters<typeof readJob>[2], id: string) => readJob({ Job }, worker, json, id)
    })
    return worker
  }, report)
}

/** BullMQ takes the age in seconds, and on PostgreSQL no parts of one. */
function toKeepJobs ({ count, age }: Required<Keep>): KeepJobs | undefined {
  if (age === Infinity) return count === Infinity ? undefined : { count }
  return { age: Math.ceil(age / 1_000), ...(count !== Infinity && { count }) }
}
