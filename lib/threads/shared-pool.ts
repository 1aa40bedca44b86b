import { availableParallelism } from 'node:os'
import { FST_ERR_BACKGROUND_INVALID_OPTION } from '../errors'
import { ThreadPool, type PoolOptions } from './thread-pool'

const DEFAULT_ABORT_TIMEOUT = 1_000

let pool: ThreadPool | undefined
let applications = 0

/** The pool of this process: cores are the process's, however many applications it has. */
export function sharedPool (): ThreadPool {
  pool ??= new ThreadPool(withDefaults({}), (error) => { process.emitWarning(error) })
  return pool
}

/**
 * Holds the pool for an application, until it calls what is returned.
 *
 * @param report Told of the error that has ended a thread without a call, where it is the first application.
 * @throws `FST_ERR_BACKGROUND_INVALID_OPTION` where another application has it, with other options.
 */
export function holdSharedPool (given: Partial<PoolOptions>, report: (error: Error) => void): { pool: ThreadPool, release: () => Promise<void> } {
  // One that is held by calls alone ends with them.
  if (applications === 0) pool = new ThreadPool(withDefaults(given), report)
  else assertSame(given, pool!.options)
  const held = pool!
  held.hold()
  applications++
  return {
    pool: held,
    async release () {
      applications--
      // Nobody waits for them any more.
      if (applications === 0) await held.endAborted()
      await held.release()
    }
  }
}

function withDefaults ({ maxThreads, abortTimeout, maxMemory }: Partial<PoolOptions>): PoolOptions {
  return Object.freeze({
    maxThreads: maxThreads ?? Math.max(1, availableParallelism() - 1),
    abortTimeout: abortTimeout ?? DEFAULT_ABORT_TIMEOUT,
    maxMemory
  })
}

function assertSame (given: Partial<PoolOptions>, options: PoolOptions): void {
  for (const name of Object.keys(options) as Array<keyof PoolOptions>) {
    if (given[name] === undefined || given[name] === options[name]) continue
    throw new FST_ERR_BACKGROUND_INVALID_OPTION(name,
      `${options[name] ?? 'none'}, as the application has it that opened the threads of this process`, String(given[name]))
  }
}
