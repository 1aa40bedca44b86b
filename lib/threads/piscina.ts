import type { EventEmitter } from 'node:events'
import type { TransferListItem, Worker } from 'node:worker_threads'
import { FST_ERR_BACKGROUND_INVALID_OPTION } from '../errors'

// What is used of piscina. Its own declarations compile only with `resolveJsonModule`.
export interface Piscina extends EventEmitter {
  /** Those that are ready, and those that are not yet. */
  readonly threads: readonly Worker[]
  /** Those in effect: what is written there counts from then on. */
  readonly options: { minThreads: number }
  run (task: unknown, options: { transferList: TransferListItem[], signal: AbortSignal }): Promise<unknown>
  /** Ends all threads. */
  destroy (): Promise<void>
}

export interface PiscinaOptions {
  filename: string
  minThreads: number
  maxThreads: number
  idleTimeout: number
  atomics: 'disabled'
  recordTiming: boolean
  resourceLimits: { maxOldGenerationSizeMb: number | undefined }
}

/** @throws `FST_ERR_BACKGROUND_INVALID_OPTION` where it is missing. */
export function requirePiscina (): new (options: PiscinaOptions) => Piscina {
  try {
    return require('piscina').Piscina
  } catch (error) {
    throw new FST_ERR_BACKGROUND_INVALID_OPTION('threads', 'to find the package piscina (npm i piscina)',
      `an error: ${(error as Error).message.split('\n', 1)[0]}`)
  }
}
