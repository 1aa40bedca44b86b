import { aBoolean, aName, type Checks } from './checks'
import { callInContext } from './context-storage'
import { definedBy, kFunction, type CheckArgs, type NamedOptions } from './defined'
import { FST_ERR_BACKGROUND_INVALID_TASK } from './errors'
import { assertPolicy, POLICY_CHECKS } from './policy'
import { assertTaskFunction, nameOf } from './task'
import { StandInContext } from './stand-in-context'
import type { Backoff, TaskDefinition, TaskFunction, TaskOptions } from './types'

export const TASK_CHECKS: Checks<TaskOptions> = { name: aName, ...POLICY_CHECKS, durable: aBoolean }

/**
 * Gives a task function a name and a policy. The definition goes wherever a function goes: `addTask`, `BackgroundTask`,
 * groups, a route's `background`. Called like the function that it was made of, it runs that function here and now,
 * without policy, with a context that stands in for a run's: its `log` says nothing, its `signal` is never aborted.
 *
 * @param fn Any function but a generator function or a class. Its `this` is the task's context.
 * @param options What is left out is as in the plugin's options.
 * @throws {TypeError} `FST_ERR_BACKGROUND_INVALID_TASK` where `fn` is not such a function, or a definition already.
 * @throws `FST_ERR_BACKGROUND_INVALID_OPTION` for a wrong or unknown option.
 */
export function defineTask<A extends unknown[], R> (
  fn: TaskFunction<A, R>, options: TaskOptions = {}
): TaskDefinition<A, R> {
  assertTaskFunction('defineTask()', fn)
  if (definedBy(fn) !== undefined) {
    throw new FST_ERR_BACKGROUND_INVALID_TASK('defineTask()', 'a function', `the definition ${nameOf(fn)}`)
  }
  return define<A, R>(fn, toNamedOptions(options, nameOf(fn)))
}

/**
 * Checks the options of a definition, and copies them.
 *
 * @param fallback The name, if they have none.
 * @param checks Of options that have others among them, too.
 * @throws `FST_ERR_BACKGROUND_INVALID_OPTION` for a wrong or unknown option.
 */
export function toNamedOptions (options: TaskOptions, fallback: string, checks = TASK_CHECKS): NamedOptions {
  assertPolicy(options, checks)
  const { name = fallback, when, timeout, retries, backoff, durable } = options
  return { name, when, timeout, retries, backoff: backoff && copyOf(backoff), durable }
}

/**
 * Makes a definition, without a check.
 *
 * @param check Called with the arguments of each task that is added.
 */
export function define<A extends unknown[], R> (
  fn: TaskFunction<A, R>, options: NamedOptions, check?: CheckArgs
): TaskDefinition<A, R> {
  const { name } = options
  // With a name that it is given later, V8 would look for each of its properties in a dictionary.
  const { [name]: definition } = {
    [name] (...args: A): R {
      return callInContext(new StandInContext(name), fn, args)
    }
  }
  return Object.defineProperties(definition, {
    options: { value: Object.freeze(options) },
    [kFunction]: { value: Object.freeze({ definition, fn, check }) }
  }) as unknown as TaskDefinition<A, R>
}

// By the name: options may be inherited.
function copyOf ({ delay, factor, max, jitter }: Backoff): Readonly<Backoff> {
  return Object.freeze({ delay, factor, max, jitter })
}
