import type { FastifyBaseLogger } from 'fastify'
import type { TaskContext, TaskRun } from './types'

/** The `this` of a task function. Holds the logger alone, neither request nor reply (R6). */
export class RunContext implements TaskContext {
  readonly #run: TaskRun
  readonly #parentLog: FastifyBaseLogger
  #log: FastifyBaseLogger | undefined

  constructor (run: TaskRun, log: FastifyBaseLogger) {
    this.#run = run
    this.#parentLog = log
  }

  get id (): string {
    return this.#run.id
  }

  get name (): string {
    return this.#run.name
  }

  get log (): FastifyBaseLogger {
    this.#log ??= this.#parentLog.child({ task: this.name, taskId: this.id })
    return this.#log
  }
}
