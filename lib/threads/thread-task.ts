import { Attempt } from '../attempt'
import { aName, type Checks } from '../checks'
import { define, TASK_CHECKS, toNamedOptions } from '../definition'
import type { TaskContext, TaskDefinition, TaskFunction, TaskOptions } from '../types'
import { assertCloneable } from './cloneable'
import { requirePiscina } from './piscina'
import { sharedPool } from './shared-pool'
import { ThreadCall } from './thread-call'
import { remember, toWorkerFile } from './worker-file'

/** What a file may export for a thread to call: as for any task, `this` is its context. */
export type ThreadFunction = TaskFunction<never[]>

export interface ThreadTaskOptions extends TaskOptions {
  /** Under which name the file exports the function: a string that is not empty. @default 'default' */
  export?: string
}

const CHECKS: Checks<ThreadTaskOptions> = { ...TASK_CHECKS, export: aName }

/**
 * A definition whose function is in a file of its own, and runs in a worker thread: for what computes, and would keep the
 * event loop from everything else. It goes wherever one of `defineTask` goes, but for a route's `background` without
 * arguments. Called directly, it runs in a thread as well, without policy. Needs the package piscina (`npm i piscina`).
 *
 * What goes from one thread to the other is copied by the structured clone algorithm: arguments, progress, the result.
 * A `timeout` counts from when the task has a thread.
 *
 * After Starlette, which runs plain functions in threads, lest they block its loop.
 *
 * @param file The path, absolute, or the `file:` URL of a JavaScript file, an ES module or CommonJS.
 * @throws {TypeError} `FST_ERR_BACKGROUND_INVALID_TASK` where there is no such file.
 * @throws `FST_ERR_BACKGROUND_INVALID_OPTION` for a wrong or unknown option, or where piscina is missing.
 */
export function threadTask<F extends ThreadFunction = TaskFunction<unknown[]>> (
  file: string | URL, options: ThreadTaskOptions = {}
): TaskDefinition<Parameters<F>, Promise<Awaited<ReturnType<F>>>> {
  requirePiscina()
  const { export: exported = 'default' } = options ?? {}
  const target = toWorkerFile(file, exported)
  const named = toNamedOptions(options, target.name, CHECKS)
  remember(target)

  function callInThread (this: TaskContext, ...args: Parameters<F>): Promise<Awaited<ReturnType<F>>> {
    const clock = this instanceof Attempt ? this : undefined
    if (clock !== undefined) Attempt.pause(clock)
    const call = new ThreadCall(target, this, args, () => { if (clock !== undefined) Attempt.resume(clock) })
    return sharedPool().run(call) as Promise<Awaited<ReturnType<F>>>
  }
  return define(callInThread, named, (args) => { assertCloneable(named.name, args) })
}
