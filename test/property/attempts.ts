import background from '../../lib/index'
import type { Model } from './model'
import type { AttemptRecord } from './records'

const { RetryAfterError, UnrecoverableError } = background

// Those that a program does not draw, as by default.
const FACTOR = 2
const MAX = 60_000

/** What the code of an error of the plugin begins with. */
const CODE = 'FST_ERR_BACKGROUND_'

export function hasCode (error: unknown, code: 'CLOSED' | 'QUEUE_FULL' | 'TASK_TIMEOUT'): boolean {
  return (error as { code?: unknown } | undefined)?.code === CODE + code
}

/** Whether this is what the attempt must have failed with, or may have where time has decided. */
export function failsWith ({ outcome, record, returned }: AttemptRecord, error: unknown, model: Model): boolean {
  if (outcome === undefined) return record.policy.timeout > 0 && hasCode(error, 'TASK_TIMEOUT')
  if ('error' in outcome) return outcome.error === error
  // What it returned was refused, as a whole.
  return returned.length > 0 && !returned.some(({ isAccepted }) => isAccepted) &&
    (hasCode(error, 'QUEUE_FULL') ? model.program.maxPending < Infinity : hasCode(error, 'CLOSED') && model.closing)
}

/** Whether there is to be another attempt after one that has failed. */
export function isRetried ({ number, record }: AttemptRecord, error: unknown): boolean {
  return number <= record.policy.retries && !(error instanceof UnrecoverableError)
}

/** Whether the wait for the next attempt is as long as it is to be. */
export function waits ({ number, record }: AttemptRecord, error: unknown, delay: number): boolean {
  if (error instanceof RetryAfterError) return delay === error.delay
  const { delay: first, jitter } = record.policy
  const whole = Math.min(MAX, first * FACTOR ** (number - 1))
  return jitter ? Number.isInteger(delay) && delay >= 0 && delay <= whole : delay === whole
}

/** Whether the signal of an attempt may have been aborted for this. */
export function abortsWith ({ isCancelled, record }: AttemptRecord, reason: unknown, model: Model): boolean {
  if (isCancelled) return reason === record.cancelled!.reason
  if (hasCode(reason, 'TASK_TIMEOUT')) return record.policy.timeout > 0
  return model.isAborted && hasCode(reason, 'CLOSED')
}
