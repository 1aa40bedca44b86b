import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import { assertOptions, integer, milliseconds, type Checks } from '../checks'
import { FASTIFY_OPTIONS } from '../options'
import { requirePiscina } from './piscina'
import { holdSharedPool } from './shared-pool'
import { markSeen, unseenFiles } from './worker-file'

/** Of the threads of the process, whichever application uses them. */
export interface ThreadsOptions {
  /** How many threads there may be: an integer from 1 to 1 024. @default one less than there are cores, at least 1 */
  maxThreads?: number
  /**
   * How long a function may go on after its signal was aborted, in milliseconds, before its thread is ended: an integer
   * from 0 to 2 147 483 647.
   * @default 1_000
   */
  abortTimeout?: number
  /**
   * How much memory the objects of a thread may take, buffers apart, in MiB: an integer from 16 to 1 048 576. A thread
   * that needs more ends.
   * @default as much as Node gives a thread
   */
  maxMemory?: number
}

const MAX_THREADS = 1_024
// With a few, it is the process that ends.
const MIN_MEMORY = 16
const MAX_MEMORY = 1_048_576

const CHECKS: Checks<ThreadsOptions> = {
  maxThreads: integer(MAX_THREADS, 'an integer', 1),
  abortTimeout: milliseconds(),
  maxMemory: integer(MAX_MEMORY, 'an integer', MIN_MEMORY)
}

async function fastifyBackgroundThreads (app: FastifyInstance, options: ThreadsOptions): Promise<void> {
  assertOptions(options, CHECKS, FASTIFY_OPTIONS)
  requirePiscina()
  const { pool, release } = holdSharedPool(options, (err) => { app.log.error({ err }, 'a thread without a task has failed') })

  const closing = new AbortController()

  app.addHook('onReady', async function lookIntoFiles () {
    for (const file of unseenFiles()) {
      await pool.look(file, closing.signal)
      markSeen(file)
    }
  })
  app.addHook('onClose', async function releaseThreads () {
    // Fastify may have given up a file that is never loaded to its end.
    closing.abort()
    await release()
  })
}

/**
 * Keeps threads ready for the tasks of `threadTask` from boot until the application has closed, and looks into their
 * files at boot. Without it, threads end with the last task at work, and what is wrong with a file comes out when its
 * task first runs.
 *
 * @throws `FST_ERR_BACKGROUND_INVALID_OPTION` for a wrong or unknown option, for one that another application in this
 * process has set otherwise, or where piscina is missing. At boot `FST_ERR_BACKGROUND_INVALID_TASK` for a file that
 * cannot be loaded, or does not export the function.
 */
export const threads: FastifyPluginAsync<ThreadsOptions> =
  fp(fastifyBackgroundThreads, { fastify: '5.x', name: 'fastify-background/threads' })
