import { performance } from 'node:perf_hooks'
import type { FastifyBaseLogger } from 'fastify'
import { toProgress } from '../progress'
import type { TaskContext, TaskProgress } from '../types'
import type { FromThread, SentContext } from './messages'
import { createThreadLog } from './thread-log'

// A loop that says at each step how far it has come is not to keep the event loop of the application at that alone.
const PROGRESS_INTERVAL = 10

/** The `this` of a function in a thread. */
export class ThreadContext implements TaskContext {
  readonly id: string
  readonly name: string
  readonly attempt: number
  readonly signal: AbortSignal
  readonly log: FastifyBaseLogger
  readonly #say: (message: FromThread) => void
  // The newest, until it is said.
  #progress: TaskProgress | undefined
  #progressTimer: NodeJS.Timeout | undefined
  #saidProgressAt = -Infinity

  constructor ({ id, name, attempt, logLevel }: SentContext, signal: AbortSignal, say: (message: FromThread) => void) {
    this.id = id
    this.name = name
    this.attempt = attempt
    this.signal = signal
    this.log = createThreadLog(logLevel, say)
    this.#say = say
  }

  progress (value: number | TaskProgress): void {
    this.#progress = toProgress(value)
    const wait = this.#saidProgressAt + PROGRESS_INTERVAL - performance.now()
    // By the clock: in a loop no timer has its turn.
    if (wait <= 0) this.sayProgress()
    else this.#progressTimer ??= setTimeout(() => { this.sayProgress() }, wait)
  }

  /** Says what has not been said yet. */
  sayProgress (): void {
    clearTimeout(this.#progressTimer)
    this.#progressTimer = undefined
    if (this.#progress === undefined) return
    this.#say({ kind: 'progress', progress: this.#progress })
    this.#progress = undefined
    this.#saidProgressAt = performance.now()
  }
}
