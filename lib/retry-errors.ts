import { assertOption, milliseconds } from './checks'

// Shared by all copies of the package in a process, as definitions are.
const kUnrecoverable = Symbol.for('fastify-background.unrecoverable')
const kRetryAfter = Symbol.for('fastify-background.retry-after')

const aDelay = milliseconds()

/**
 * Thrown by a task that would fail again however often it is tried: there is no further attempt.
 *
 * After BullMQ's error of that name.
 */
export class UnrecoverableError extends Error {
  override readonly name: string = 'UnrecoverableError'

  get [kUnrecoverable] (): boolean {
    return true
  }
}

/** Thrown by a task that knows when it is worth trying again, from a `Retry-After` header for example. */
export class RetryAfterError extends Error {
  override readonly name: string = 'RetryAfterError'
  /** How long to wait for the next attempt at least, in milliseconds, whatever the task's backoff. */
  readonly delay: number

  /**
   * @param delay An integer of milliseconds from 0 to 2 147 483 647.
   * @throws `FST_ERR_BACKGROUND_INVALID_OPTION` for another.
   */
  constructor (delay: number, message?: string, options?: ErrorOptions) {
    assertOption('delay', delay, aDelay)
    super(message ?? `try again in ${delay} ms`, options)
    this.delay = delay
  }

  get [kRetryAfter] (): number {
    return this.delay
  }
}

export function isUnrecoverable (error: unknown): boolean {
  return read(error, kUnrecoverable) === true
}

/** The wait that an error asks for; `undefined` if it asks for none, or for what is none. */
export function retryAfter (error: unknown): number | undefined {
  const delay = read(error, kRetryAfter)
  const [, holds] = aDelay
  return holds(delay) ? delay as number : undefined
}

function read (error: unknown, key: symbol): unknown {
  // A proxy or a getter may throw at the question.
  try {
    return (error as Record<symbol, unknown> | null | undefined)?.[key]
  } catch {}
}
