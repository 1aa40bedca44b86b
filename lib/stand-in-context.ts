import { randomUUID } from 'node:crypto'
import { toProgress } from './progress'
import { silentLogger } from './silent-logger'
import type { TaskContext, TaskProgress } from './types'

/** The `this` of a function that is called without a run behind it, as that of a definition that is called directly. */
export class StandInContext implements TaskContext {
  readonly name: string
  readonly attempt = 1
  readonly log = silentLogger
  #id: string | undefined
  #signal: AbortSignal | undefined

  /** @param signal Where it may be aborted. */
  constructor (name: string, signal?: AbortSignal) {
    this.name = name
    this.#signal = signal
  }

  get id (): string {
    this.#id ??= randomUUID()
    return this.#id
  }

  get signal (): AbortSignal {
    this.#signal ??= new AbortController().signal
    return this.#signal
  }

  progress (value: number | TaskProgress): void {
    toProgress(value)
  }
}
