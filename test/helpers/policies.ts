import type { FastifyInstance } from 'fastify'
import type background from '../../lib/index'
import { until } from './latch'
import { watch } from './task-events'

interface Test { teardown: (fn: () => unknown) => void }

/** What is published on the plain channels beside their fields in common. */
interface Events {
  queued: background.TaskEvent
  retrying: background.RetryingEvent
  progress: background.ProgressEvent
  cancelled: background.CancelledEvent
  discarded: background.TaskEvent
}

/** A wait that no test lives to see the end of. */
export const MINUTE = 60_000

/** A backoff by which a run is tried again at once. */
export const AT_ONCE: background.Backoff = { delay: 0 }

/** A backoff by which a run stays `retrying`. */
export const IN_A_MINUTE: background.Backoff = { delay: MINUTE, jitter: false }

/** Work that never ends, and listens to nobody. */
export function never (): Promise<never> {
  return new Promise(() => {})
}

/** Blocks the thread, as a long synchronous function does. */
export function block (ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

/** A task that fails in its first attempts, and returns the number of the attempt that does not. */
export function failing (attempts: number): (this: background.TaskContext) => number {
  return function failing () {
    if (this.attempt <= attempts) throw new Error(`broken in attempt ${this.attempt}`)
    return this.attempt
  }
}

/** A run at work that only a cancel can end. */
export async function atWork (app: FastifyInstance): Promise<{ run: background.TaskRun, signal: AbortSignal }> {
  let signal!: AbortSignal
  const run = app.background.addTask(function watch () {
    signal = this.signal
    return never()
  })
  await until(() => run.state === 'active')
  return { run, signal }
}

/** Calls `listener` in the very moment of each event of an application's runs, until the end of the test. */
export function onEvent<Name extends keyof Events> (
  t: Test, app: FastifyInstance, name: Name, listener: (event: Events[Name]) => void
): void {
  watch(t, name, (event) => {
    if (event.background === app.background) listener(event as Events[Name])
  })
}

/** How many timers keep the process alive. */
export function timers (): number {
  return process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length
}
