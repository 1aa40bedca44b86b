import { assertOption, milliseconds } from './checks'

/**
 * Thrown by a task that would fail again however often it is tried: there is no further attempt.
 *
 * After BullMQ's error of that name.
 */
export class UnrecoverableError extends Error {
  override readonly name = 'UnrecoverableError'
}

/** Thrown by a task that knows when it is worth trying again, from a `Retry-After` header for example. */
export class RetryAfterError extends Error {
  override readonly name = 'RetryAfterError'
  /** How long to wait for the next attempt, in milliseconds, whatever the task's backoff. */
  readonly delay: number

  /**
   * @param delay An integer of milliseconds from 0 to 2 147 483 647.
   * @throws `FST_ERR_BACKGROUND_INVALID_OPTION` for another.
   */
  constructor (delay: number, message = `try again in ${delay} ms`, options?: ErrorOptions) {
    assertOption('delay', delay, milliseconds())
    super(message, options)
    this.delay = delay
  }
}
