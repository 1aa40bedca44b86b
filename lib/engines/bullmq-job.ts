// How a task is kept as a job of BullMQ: its id, name and time as the job's, its retries as `attempts`, the rest as the
// job's data. Other producers may add such jobs too; only `args` must be there.
import type { BulkJobOptions, Job, JobJson } from 'bullmq'
import { describe } from '../describe'
import { failureOf, isCancelledReason, toCancelError } from './bullmq-failure'
import type { Bullmq, JobQueue, JobWorker, Server } from './bullmq-server'
import type { StoredError, StoredSnapshot, StoredState, StoredTask } from './engine'

export interface JobData {
  readonly args: readonly unknown[]
  readonly reqId?: unknown
  readonly meta?: unknown
  /** Why it is to end as cancelled, whoever takes it next. */
  readonly cancelled?: string | undefined
  /** How often it has been retried by hand. A cancel is for one round. */
  readonly round?: number
  /** How often it had stalled when this round began. */
  readonly stalls?: number
  /** How many attempts BullMQ had counted when this round began. */
  readonly made?: number
}

export interface NewJob {
  readonly name: string
  readonly data: JobData | Packed
  readonly opts: BulkJobOptions & { timestamp: number }
}

/** Data that the server cannot keep as JSON, but as a string. */
interface Packed {
  readonly json: string
}

export function toJob (server: Server, { id, name, args, reqId, meta, retries, queuedAt }: StoredTask): NewJob {
  const data = pack(server, { args, reqId, meta })
  return { name, data, opts: { jobId: id, attempts: retries + 1, timestamp: queuedAt } }
}

export function pack (server: Server, data: JobData): JobData | Packed {
  const json = JSON.stringify(data)
  return server.keeps(json) ? data : { json }
}

/** @returns what is wrong with a job, if it is not one that `toTask` can read. The plugin looks into the arguments. */
export function defectOf (job: Job): string | undefined {
  const { id, name, data } = job as { id?: string, name: unknown, data: Partial<JobData> | null }
  if (id === undefined || typeof name !== 'string' || name === '') return 'it has no name'
  if (!isObject(data)) return `its data is ${describe(data)}`
  if (!Array.isArray(data.args)) return `its args are ${describe(data.args)}`
  if (!isMissingOrText(data.cancelled)) return `its cancelled is ${describe(data.cancelled)}`
  if (![data.round, data.stalls, data.made, job.opts.attempts].every(isMissingOrCount)) return 'its counts are not integers from 0 on'
  if ((data.made ?? 0) > job.attemptsMade) return 'its counts are beyond those of BullMQ'
  return undefined
}

/** A job without a defect, as a task. */
export function toTask (job: Job<JobData>): StoredTask {
  return readTask(job, job.data)
}

function readTask (job: Job, data: JobData): StoredTask {
  return {
    id: job.id as string,
    name: job.name,
    args: data.args,
    // Another producer's are not worth a task.
    reqId: isText(data.reqId) ? data.reqId : undefined,
    meta: isTexts(data.meta) ? data.meta : {},
    retries: Math.max(Number(job.opts.attempts) - 1, 0),
    queuedAt: job.timestamp
  }
}

/** How often a process died at this task, since it was stored or retried by hand. */
export function restartsOf (job: Job<JobData>): number {
  return job.stalledCounter - (job.data.stalls ?? 0)
}

/** How many attempts have failed in this round. */
export function attemptsMadeOf (job: Job<JobData>): number {
  return job.attemptsMade - (job.data.made ?? 0)
}

export function roundOf (job: Job<JobData>): number {
  return job.data.round ?? 0
}

export function cancelReasonOf ({ data }: Job<Partial<JobData> | null>): string | undefined {
  return isObject(data) && isText(data.cancelled) ? data.cancelled : undefined
}

/** @param state BullMQ's name for where it stands. */
export function toSnapshot (job: Job, state: string): StoredSnapshot {
  const isTask = defectOf(job) === undefined
  const made = isTask ? attemptsMadeOf(job) : job.attemptsMade
  const ours = toState(job, state, made)
  const failure = state === 'failed' || ours === 'retrying' ? failureOf(job) : undefined
  return {
    // Of what is none, no arguments.
    task: isTask ? toTask(job) : readTask(job, { args: [] }),
    state: ours,
    attempt: failure?.attempt ?? (ours === 'active' ? made + 1 : made),
    progress: progressOf(job.progress),
    error: failure?.error ?? cancelErrorOf(job, ours),
    result: ours === 'completed' ? job.returnvalue : undefined,
    startedAt: job.processedOn,
    finishedAt: job.finishedOn
  }
}

export function progressOf (progress: unknown): StoredSnapshot['progress'] {
  const { value, message } = Object(progress) as { value?: unknown, message?: unknown }
  if (typeof value !== 'number') return undefined
  return { value, message: isText(message) ? message : undefined }
}

/** @returns `undefined` where there is no such job, or BullMQ cannot read it: others may have written what is no JSON. */
export async function fetchJob (queue: JobQueue, id: string): Promise<JobJson | undefined> {
  try {
    return await queue.getBackend().getJobData(id)
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return undefined
    throw error
  }
}

/** Reads a job even where its data is not JSON: then the data is `null`, which is a defect. */
export function readJob ({ Job }: Pick<Bullmq, 'Job'>, queue: JobQueue | JobWorker, json: JobJson, id: string): Job {
  try {
    const job = Job.fromJSON(queue as never, json, id)
    job.data = isPacked(job.data) ? JSON.parse(job.data.json) : job.data
    return job
  } catch {
    return Job.fromJSON(queue as never, { ...json, data: 'null' }, id)
  }
}

function isPacked (data: unknown): data is Packed {
  return isObject(data) && isText((data as Partial<Packed>).json)
}

function toState (job: Job, state: string, made: number): StoredState {
  if (state === 'active' || state === 'completed') return state
  if (state === 'failed') return isCancelledReason(job.failedReason) ? 'cancelled' : 'failed'
  if (cancelReasonOf(job) !== undefined) return 'cancelled'
  return made > 0 ? 'retrying' : 'queued'
}

/** Of one that is to end as cancelled as soon as somebody takes it. */
function cancelErrorOf (job: Job, state: StoredState): StoredError | undefined {
  return state === 'cancelled' ? toCancelError(cancelReasonOf(job)) : undefined
}

function isObject (value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isText (value: unknown): value is string {
  return typeof value === 'string'
}

function isTexts (value: unknown): value is Record<string, string> {
  return isObject(value) && Object.values(value).every(isText)
}

function isMissingOrText (value: unknown): boolean {
  return value === undefined || isText(value)
}

function isMissingOrCount (value: unknown): boolean {
  return value === undefined || (Number.isSafeInteger(value) && (value as number) >= 0)
}
