// How the end of a task that did not complete is kept in a job of BullMQ. `failedReason` is for people, and for telling
// the cancelled ones apart where nothing else is at hand; the first entry of `stacktrace` is the error in JSON, the
// second its stack. BullMQ writes both together with the state.
import type { Job } from 'bullmq'
import type { StoredError } from './engine'
import { toStoredError } from './stored-error'

/** What the reason of a cancelled job starts with. That of a failed one starts with the name of its error. */
export const CANCELLED = '[cancelled] '

export interface Failure {
  readonly error: StoredError
  /** The attempt that it ended. */
  readonly attempt: number
}

/** What BullMQ is given for an error. None of the task's own: BullMQ goes by some names and messages. */
export class JobError extends Error {
  /** `UnrecoverableError` is what BullMQ does not try again. */
  override readonly name: string
  /** The milliseconds until the next attempt. */
  readonly retryIn: number | undefined

  constructor (reason: string, stack: string | undefined, retryIn?: number) {
    super(reason)
    this.name = retryIn === undefined ? 'UnrecoverableError' : 'JobError'
    this.retryIn = retryIn
    this.stack = stack ?? ''
  }
}

/** Writes an error into a job. @returns what is to be thrown at BullMQ. */
export function fail (job: Job, error: StoredError, attempt: number, retryIn?: number): JobError {
  return end(job, `${error.name}: ${error.message}`, error, attempt, retryIn)
}

/** The same, for why a task was cancelled. */
export function cancel (job: Job, reason: StoredError, attempt: number): JobError {
  return end(job, CANCELLED + reason.message, reason, attempt)
}

/** Reads what `fail` or `cancel` has written. A job may also have been failed by others. */
export function failureOf (job: Job): Failure {
  const [record, stack] = job.stacktrace as Array<string | undefined>
  return parse(record, stack) ??
    { error: { name: 'Error', message: String(job.failedReason), stack: record }, attempt: job.attemptsMade }
}

export function isCancelledReason (reason: string | null | undefined): boolean {
  return reason?.startsWith(CANCELLED) === true
}

/** Whether an error of BullMQ is about one job: it has gone, or moved on, or somebody else has it. */
export function isAboutJob (error: unknown): boolean {
  const { code, message } = error as { code?: unknown, message: string }
  return typeof code === 'number' || message.startsWith('could not renew lock')
}

/** As `toStoredError`, for why a task was cancelled. */
export function toCancelError (reason: unknown): StoredError {
  return toStoredError(reason, 'AbortError')
}

function end (job: Job, reason: string, error: StoredError, attempt: number, retryIn?: number): JobError {
  const { name, message, code, stack } = error
  // BullMQ appends the stack of what is thrown.
  job.stacktrace = [JSON.stringify({ name, message, code, attempt })]
  return new JobError(reason, stack, retryIn)
}

function parse (record: string | undefined, stack: string | undefined): Failure | undefined {
  try {
    const { name, message, code, attempt } = JSON.parse(record as string)
    if (!Number.isSafeInteger(attempt)) return undefined
    return { error: { name, message, code, stack }, attempt }
  } catch {
    return undefined
  }
}
