import type { ResolvedBackoff, ResolvedPolicy } from './policy'
import { isUnrecoverable, retryAfter } from './retry-errors'

/**
 * How long a failed attempt is waited after, in milliseconds; `undefined` if there is to be no other.
 *
 * @param attempt The number of the attempt that failed, from 1.
 */
export function retryDelay ({ retries, backoff }: ResolvedPolicy, attempt: number, error: unknown): number | undefined {
  if (attempt > retries || isUnrecoverable(error)) return undefined
  return retryAfter(error) ?? backoffDelay(backoff, attempt)
}

// With full jitter any wait up to the whole is as likely: tasks that failed together do not come back together
// (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
function backoffDelay ({ delay, factor, max, jitter }: ResolvedBackoff, attempt: number): number {
  const whole = delay === 0 ? 0 : Math.min(max, delay * factor ** (attempt - 1))
  return Math.round(jitter ? Math.random() * whole : whole)
}
