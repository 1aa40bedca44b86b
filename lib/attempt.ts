import { types } from 'node:util'
import type { FastifyBaseLogger } from 'fastify'
import { callInContext } from './context-storage'
import { FST_ERR_BACKGROUND_INVALID_TASK } from './errors'
import type { AttemptTrace } from './events'
import { toProgress } from './progress'
import { isThenable } from './thenable'
import type { TaskContext, TaskFunction, TaskProgress } from './types'

/** Whose attempt it is. What comes from an attempt may come late, when it has been ended otherwise. */
export interface AttemptHost {
  readonly id: string
  readonly name: string
  readonly attempt: number
  completed (attempt: Attempt, result: unknown): void
  /** @param final Whether a further attempt would be of no use. */
  failed (attempt: Attempt, error: unknown, final?: boolean): void
  progressed (attempt: Attempt, progress: TaskProgress): void
  /** Whether it is at this attempt. */
  isAt (attempt: Attempt): boolean
  /** Its time counts from here. */
  resumed (attempt: Attempt): void
}

/**
 * One attempt of a run, and the `this` of the task's function in it. What is not for the function is static, so that
 * the function does not find it there. It holds the logger alone, neither request nor reply (R6).
 */
export class Attempt implements TaskContext {
  readonly attempt: number
  readonly #host: AttemptHost
  readonly #parentLog: FastifyBaseLogger
  readonly #trace: AttemptTrace | null
  #log: FastifyBaseLogger | undefined
  // Made when the signal is first read.
  #controller: AbortController | undefined
  #aborted: { reason: unknown } | undefined
  #isPaused = false

  constructor (host: AttemptHost, log: FastifyBaseLogger, trace: AttemptTrace | null) {
    this.attempt = host.attempt
    this.#host = host
    this.#parentLog = log
    this.#trace = trace
  }

  /** Calls the task's function. Never throws (R3). */
  static start (attempt: Attempt, fn: TaskFunction<never[]>, args: readonly unknown[]): void {
    if (attempt.#trace === null) attempt.#call(fn, args)
    // A subscriber may have ended it.
    else attempt.#trace.run(() => { if (Attempt.counts(attempt)) attempt.#call(fn, args) })
  }

  /** The run has left the attempt: nothing that the function does from here on counts. */
  static end (attempt: Attempt): void {
    attempt.#trace?.end()
  }

  /** Whether what the function does still counts. */
  static counts (attempt: Attempt): boolean {
    return attempt.#host.isAt(attempt)
  }

  /** Whether its time does not count yet. */
  static isPaused (attempt: Attempt): boolean {
    return attempt.#isPaused
  }

  /** What the function does waits for a place of its own, and its time does not count. To be called before it returns. */
  static pause (attempt: Attempt): void {
    attempt.#isPaused = true
  }

  /** What the function does begins: its time counts from here. */
  static resume (attempt: Attempt): void {
    attempt.#isPaused = false
    attempt.#host.resumed(attempt)
  }

  /** Tells the function that it need not go on. */
  static abort (attempt: Attempt, reason: unknown): void {
    attempt.#aborted = { reason }
    const controller = attempt.#controller
    if (controller !== undefined) callInContext(attempt, () => { controller.abort(reason) }, [])
  }

  get id (): string {
    return this.#host.id
  }

  get name (): string {
    return this.#host.name
  }

  get log (): FastifyBaseLogger {
    this.#log ??= this.#parentLog.child({ task: this.name, taskId: this.id })
    return this.#log
  }

  get signal (): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#aborted !== undefined) this.#controller.abort(this.#aborted.reason)
    }
    return this.#controller.signal
  }

  progress (value: number | TaskProgress): void {
    this.#host.progressed(this, toProgress(value))
  }

  #call (fn: TaskFunction<never[]>, args: readonly unknown[]): void {
    const host = this.#host
    let result: unknown
    try {
      result = callInContext(this, fn, args as never[])
      if (isThenable(result)) {
        // Promise.resolve takes a foreign thenable at its word only once, and catches a `then` that throws.
        Promise.resolve(result).then((value) => host.completed(this, value), (error) => host.failed(this, error))
        return
      }
    } catch (error) {
      host.failed(this, error)
      return
    }
    if (types.isGeneratorObject(result)) host.failed(this, neverRan(host.name), true)
    else host.completed(this, result)
  }
}

// A generator function that was bound or wrapped is not known as one when it is added.
function neverRan (task: string): Error {
  return new FST_ERR_BACKGROUND_INVALID_TASK(`Background task "${task}"`, 'a function that does its work when called',
    'a generator, of which nothing has run')
}
