import { randomUUID } from 'node:crypto'
import { toProgress } from './progress'
import { silentLogger } from './silent-logger'
import type { TaskContext, TaskProgress } from './types'

/** The `this` of a definition's function that is called directly: no run is behind it. */
export class StandInContext implements TaskContext {
  readonly name: string
  readonly attempt = 1
  readonly log = silentLogger
  #id: string | undefined
  #signal: AbortSignal | undefined

  constructor (name: string) {
    this.name = name
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
