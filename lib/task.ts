import { types } from 'node:util'
import { assertOptions, atLeastOne, type Checks } from './checks'
import { definedBy } from './defined'
import { describe } from './describe'
import { FST_ERR_BACKGROUND_INVALID_TASK } from './errors'
import type { BackgroundTasksOptions, OnFailure, TaskFunction } from './types'

const DEFAULT_GROUP_CONCURRENCY = 1
const DEFAULT_ON_FAILURE: OnFailure = 'continue'
const ON_FAILURE: readonly unknown[] = ['continue', 'stop'] satisfies OnFailure[]

const GROUP_CHECKS: Checks<BackgroundTasksOptions> = {
  concurrency: atLeastOne,
  onFailure: ["'continue' or 'stop'", (value) => ON_FAILURE.includes(value)]
}

/**
 * A function and the arguments that it will be called with, once the reply has left. It holds no state of a run: one
 * object may be attached to a route and serve every request.
 *
 * After Starlette's `BackgroundTask`.
 */
export class BackgroundTask<A extends unknown[] = never[]> {
  readonly #fn: TaskFunction<A>
  readonly #args: readonly unknown[]

  /**
   * @param fn Any function but a generator function. Its `this` is the task's context.
   * @param args What the function is called with, and nothing else.
   * @throws {TypeError} `FST_ERR_BACKGROUND_INVALID_TASK` where `fn` is not such a function.
   */
  constructor (fn: TaskFunction<A>, ...args: A) {
    assertTaskFunction('new BackgroundTask()', fn)
    this.#fn = fn
    this.#args = args
  }

  /** The function that will be called. */
  get fn (): TaskFunction<A> {
    return this.#fn
  }

  /** What it will be called with. */
  get args (): readonly unknown[] {
    return this.#args
  }
}

/**
 * Several tasks with one rule for order and failure. It takes one place in a reply's queue: what was added after it
 * starts when all of the group is finished. It is copied when it is attached; tasks added to it later are not seen.
 *
 * After Starlette's `BackgroundTasks`, where one failing task always stops the rest.
 */
export class BackgroundTasks {
  readonly #tasks: BackgroundTask[] = []

  readonly #concurrency: number
  readonly #onFailure: OnFailure

  /**
   * @param tasks Tasks, or functions that take no arguments.
   * @throws {TypeError} `FST_ERR_BACKGROUND_INVALID_TASK` where one of them is neither.
   * @throws `FST_ERR_BACKGROUND_INVALID_OPTION` for a wrong or unknown option.
   */
  constructor (tasks: ReadonlyArray<BackgroundTask | TaskFunction<[]>> = [], options: BackgroundTasksOptions = {}) {
    assertOptions(options, GROUP_CHECKS)
    this.#concurrency = options.concurrency ?? DEFAULT_GROUP_CONCURRENCY
    this.#onFailure = options.onFailure ?? DEFAULT_ON_FAILURE
    for (const task of toList('new BackgroundTasks()', tasks)) this.#add('new BackgroundTasks()', task)
  }

  /** How many tasks of the group may be active at once. */
  get concurrency (): number {
    return this.#concurrency
  }

  /** What a failed task means to those of the group that have not started. */
  get onFailure (): OnFailure {
    return this.#onFailure
  }

  /** The tasks of the group, in order. */
  get tasks (): readonly BackgroundTask[] {
    return [...this.#tasks]
  }

  /**
   * Appends a task.
   *
   * @returns this group, so that calls can be chained.
   * @throws {TypeError} `FST_ERR_BACKGROUND_INVALID_TASK` where `fn` cannot be a task.
   */
  addTask<A extends unknown[]> (fn: TaskFunction<A>, ...args: A): this
  addTask (task: BackgroundTask): this
  addTask (task: unknown, ...args: unknown[]): this {
    this.#add('addTask()', task, args)
    return this
  }

  #add (where: string, value: unknown, args?: unknown[]): void {
    const task = toTask(where, value, args)
    if (definedBy(task.fn)?.options.durable === true) {
      throw new FST_ERR_BACKGROUND_INVALID_TASK(where, 'tasks that are not durable: an engine keeps no group together',
        `the durable task ${nameOf(task.fn)}`)
    }
    this.#tasks.push(task)
  }
}

/** Makes a task of what a caller gave as one. */
export function toTask (where: string, value: unknown, args: unknown[] = []): BackgroundTask {
  if (!(value instanceof BackgroundTask)) {
    assertTaskFunction(where, value)
    return new BackgroundTask(value, ...(args as never[]))
  }
  if (args.length > 0) {
    throw new FST_ERR_BACKGROUND_INVALID_TASK(where, 'no further arguments beside a BackgroundTask, which has its own',
      `${args.length}, the first ${describe(args[0])}`)
  }
  return value
}

/** Makes tasks and groups of what a caller gave as a list of them, or throws before the first is accepted. */
export function toTasks (where: string, value: unknown): Array<BackgroundTask | BackgroundTasks> {
  if (value instanceof BackgroundTasks) return [value]
  return toList(where, value).map((item) => item instanceof BackgroundTasks ? item : toTask(where, item))
}

/** Whether a value can stand in a list of tasks without being a function. */
export function isTask (value: unknown): value is BackgroundTask | BackgroundTasks {
  return value instanceof BackgroundTask || value instanceof BackgroundTasks
}

export function assertTaskFunction (where: string, value: unknown): asserts value is TaskFunction<never[]> {
  if (typeof value !== 'function') throw notATask(where, value)
  // Arrow, async and method functions have no prototype: only what may be a generator or a class is looked at closer.
  if (value.prototype !== undefined && !isPlainFunction(value)) throw notATask(where, value)
}

function isPlainFunction (fn: Function): boolean {
  if (types.isGeneratorFunction(fn)) return false
  // Read-only is the prototype of a class (ECMA-262, ClassDefinitionEvaluation), and that of a frozen function.
  if (Object.getOwnPropertyDescriptor(fn, 'prototype')?.writable !== false) return true
  return Object.isFrozen(fn) && !Function.prototype.toString.call(fn).startsWith('class')
}

function notATask (where: string, value: unknown): Error {
  if (types.isPromise(value)) {
    return new FST_ERR_BACKGROUND_INVALID_TASK(where, 'a function or a BackgroundTask',
      'a Promise: pass the function and its arguments, not the result of calling it')
  }
  if (value instanceof BackgroundTask) return new FST_ERR_BACKGROUND_INVALID_TASK(where, 'a function', 'a BackgroundTask')
  if (value instanceof BackgroundTasks) {
    return new FST_ERR_BACKGROUND_INVALID_TASK(where, 'one task', 'a group of BackgroundTasks: pass it to addTasks()')
  }
  if (typeof value === 'function' && !types.isGeneratorFunction(value)) {
    return new FST_ERR_BACKGROUND_INVALID_TASK(where, 'a function or a BackgroundTask',
      `the class ${value.name}, which cannot be called`)
  }
  return new FST_ERR_BACKGROUND_INVALID_TASK(where, 'a function or a BackgroundTask', describe(value))
}

function toList (where: string, value: unknown): readonly unknown[] {
  // A copy without holes: what is missing is to be refused, not passed over.
  if (Array.isArray(value)) return Array.from(value)
  throw new FST_ERR_BACKGROUND_INVALID_TASK(where, 'a list of tasks', describe(value))
}

/** What a function without a name goes by. */
export const ANONYMOUS = 'anonymous'

/** The name that a task goes by. */
export function nameOf (fn: Function): string {
  // A function's name may have been redefined as anything, as a getter that throws even.
  try {
    const { name } = fn
    if (typeof name === 'string' && name !== '') return name
  } catch {}
  return ANONYMOUS
}
