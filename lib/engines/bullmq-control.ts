import type { Job, JobState } from 'bullmq'
import { publishCancel } from './bullmq-cancels'
import { isAboutJob } from './bullmq-failure'
import { cancelReasonOf, defectOf, fetchJob, pack, readJob, roundOf, type JobData } from './bullmq-job'
import type { Bullmq, JobQueue, Server } from './bullmq-server'

export interface FoundJob {
  readonly job: Job
  readonly state: JobState
}

export async function findJob (bullmq: Bullmq, queue: JobQueue, id: string): Promise<FoundJob | undefined> {
  if (!canBeJob(queue, id)) return undefined
  let state = await queue.getJobState(id)
  for (;;) {
    const json = await fetchJob(queue, id)
    if (json === undefined || state === 'unknown') return undefined
    // It may have moved on while it was read.
    const before = state
    state = await queue.getJobState(id)
    if (state === before) return { job: readJob(bullmq, queue, json, id), state }
  }
}

// In Redis, a job is a key beside those of the queue itself. PostgreSQL takes no U+0000 in a text.
function canBeJob (queue: JobQueue, id: unknown): boolean {
  return typeof id === 'string' && id !== '' && !/[:\0]/.test(id) && !Object.hasOwn(queue.keys, id)
}

/**
 * A job can only be ended by who has it at work. So it is marked first: whoever takes it from here on ends it at once.
 * Then whoever may have taken it already is told.
 *
 * @returns whether it could be cancelled.
 */
export async function cancelJob (server: Server, queue: JobQueue, { job, state }: FoundJob, reason: string): Promise<boolean> {
  if (state === 'completed' || state === 'failed' || defectOf(job) !== undefined) return false
  if (cancelReasonOf(job) !== undefined && state !== 'active') return false
  if (!await unlessMoved(() => job.updateData(pack(server, { ...job.data, cancelled: reason })))) return false
  await publishCancel(queue, { id: job.id as string, round: roundOf(job), reason })
  // If somebody has taken it already, so be it.
  if (state !== 'active') await unlessMoved(() => moveToFront(job, state))
  return true
}

/** @returns whether it could be retried. */
export async function retryJob (server: Server, { job, state }: FoundJob): Promise<boolean> {
  const isTask = defectOf(job) === undefined
  // One that is marked and has not been ended yet.
  const isMarked = isTask && state !== 'completed' && state !== 'active' && cancelReasonOf(job) !== undefined
  if (state !== 'failed' && !isMarked) return false
  return await unlessMoved(async () => {
    if (isTask) await job.updateData(pack(server, nextRound(job, state === 'failed' ? 0 : job.attemptsMade)))
    if (state === 'failed') await job.retry('failed', { resetAttemptsMade: true, resetAttemptsStarted: true })
  })
}

function nextRound (job: Job<JobData>, made: number): JobData {
  return { ...job.data, cancelled: undefined, round: roundOf(job) + 1, stalls: job.stalledCounter, made }
}

/** Somebody should take it soon. */
async function moveToFront (job: Job, state: JobState): Promise<void> {
  if (state === 'delayed') await job.promote()
  await job.changePriority({ lifo: true })
}

/** @returns `false` where the job has gone, or somebody else has moved it meanwhile. */
async function unlessMoved (action: () => Promise<void>): Promise<boolean> {
  try {
    await action()
    return true
  } catch (error) {
    if (!isAboutJob(error)) throw error
    return false
  }
}
