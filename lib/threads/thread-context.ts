import type { FastifyBaseLogger } from 'fastify'
import { toProgress } from '../progress'
import type { TaskContext, TaskProgress } from '../types'
import type { FromThread, SentContext } from './messages'
import { createThreadLog } from './thread-log'

/** The `this` of a function in a thread. */
export class ThreadContext implements TaskContext {
  readonly id: string
  readonly name: string
  readonly attempt: number
  readonly signal: AbortSignal
  readonly log: FastifyBaseLogger
  readonly #say: (message: FromThread) => void

  constructor ({ id, name, attempt, logLevel }: SentContext, signal: AbortSignal, say: (message: FromThread) => void) {
    this.id = id
    this.name = name
    this.attempt = attempt
    this.signal = signal
    this.log = createThreadLog(logLevel, say)
    this.#say = say
  }

  progress (value: number | TaskProgress): void {
    this.#say({ kind: 'progress', progress: toProgress(value) })
  }
}
