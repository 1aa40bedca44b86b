import type { ResolvedBackoff, ResolvedPolicy } from './policy'
import { RetryAfterError, UnrecoverableError } from './retry-errors'

/**
 * How long a failed attempt is waited after, in milliseconds; `undefined` if there is to be no other.
 *
 * @param attempt The number of the attempt that failed, from 1.
 */
export function retryDelay ({ retries, backoff }: ResolvedPolicy, attempt: number, error: unknown): number | undefined {
  if (attempt > retries || isA(UnrecoverableError, error)) return undefined
  return isA(RetryAfterError, error) ? error.delay : backoffDelay(backoff, attempt)
}

// With full jitter any wait up to the whole is as likely: tasks that failed together do not come back together
// (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
function backoffDelay ({ delay, factor, max, jitter }: ResolvedBackoff, attempt: number): number {
  const whole = delay === 0 ? 0 : Math.min(max, delay * factor ** (attempt - 1))
  return Math.round(jitter ? Math.random() * whole : whole)
}

function isA<T> (constructor: abstract new (...args: never[]) => T, error: unknown): error is T {
  // A proxy may throw at the question.
  try {
    return error instanceof constructor
  } catch {
    return false
  }
}
