import { Attempt } from './attempt'
import { FST_ERR_BACKGROUND_INVALID_OPTION, FST_ERR_BACKGROUND_INVALID_TASK } from './errors'
import { definedBy, functionOf, kFunction } from './defined'
import { define } from './definition'
import { BackgroundTask, BackgroundTasks, isTask, nameOf, toTask } from './task'
import { isThenable } from './thenable'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { TaskContext, TaskFunction } from './types'

/** A task of a route as it is accepted for each request; a function takes `(request, reply)`. */
export type RouteEntry = BackgroundTask | BackgroundTasks | TaskFunction<never[]>

/**
 * Checks what a route declares, at the top level and in `config`, and makes a list of it.
 *
 * @param where How the route is named in an error.
 * @throws {TypeError} `FST_ERR_BACKGROUND_INVALID_TASK`
 */
export function compileRouteTasks (where: string, ...declared: unknown[]): readonly RouteEntry[] {
  return declared.filter((value) => value !== undefined).flatMap((value) => compile(where, value))
}

function compile (where: string, value: unknown): RouteEntry[] {
  if (!Array.isArray(value)) return [compileOne(where, value)]
  if (value.length === 0) {
    throw new FST_ERR_BACKGROUND_INVALID_TASK(where, 'at least one task', 'an empty list')
  }
  return Array.from(value, (item) => compileOne(where, item))
}

function compileOne (where: string, value: unknown): RouteEntry {
  if (!(value instanceof BackgroundTasks)) {
    const task = toTask(where, value)
    return typeof value === 'function' ? adoptingResult(where, task.fn) : task
  }
  if (value.tasks.length === 0) {
    throw new FST_ERR_BACKGROUND_INVALID_TASK(where, 'at least one task', 'an empty group')
  }
  return new BackgroundTasks(value.tasks, { concurrency: value.concurrency, onFailure: value.onFailure })
}

/** The tasks of an entry: none of a function, whose arguments come with a request. */
export function membersOf (entry: RouteEntry): readonly BackgroundTask[] {
  if (entry instanceof BackgroundTasks) return entry.tasks
  return entry instanceof BackgroundTask ? [entry] : []
}

/**
 * A route whose tasks never all have room would answer nothing but 503s.
 *
 * @throws `FST_ERR_BACKGROUND_INVALID_OPTION`
 */
export function assertRoom (where: string, entries: readonly RouteEntry[], maxPending: number): void {
  const count = entries.reduce((sum, entry) => sum + (entry instanceof BackgroundTasks ? entry.tasks.length : 1), 0)
  if (count > maxPending) throw new FST_ERR_BACKGROUND_INVALID_OPTION('maxPending', `at least ${count}, for the tasks of ${where}`, String(maxPending))
}

// Apart from the function of each route, which V8 compiles anew for each.
function runAdopting (
  attempt: Attempt, run: TaskFunction<[FastifyRequest, FastifyReply]>, request: FastifyRequest, reply: FastifyReply
): unknown {
  // Not where the attempt has been ended: what it still returns is ignored (R5).
  const take = (value: unknown): unknown => Attempt.counts(attempt) ? adopt(value, reply) : undefined
  const result = run.call(attempt, request, reply)
  return isThenable(result) ? Promise.resolve(result).then(take) : take(result)
}

/** A route's function may return tasks: they go to the end of the reply's queue. */
function adoptingResult (where: string, fn: TaskFunction<never[]>): TaskFunction<never[]> {
  const defined = definedBy(fn)
  if (defined?.options.durable === true) {
    throw new FST_ERR_BACKGROUND_INVALID_TASK(where, 'a function, or a durable task with arguments that can be stored',
      `the durable task ${defined.options.name}, which would get request and reply`)
  }
  if (defined?.[kFunction].check !== undefined) {
    throw new FST_ERR_BACKGROUND_INVALID_TASK(where, 'a function, or a task with arguments',
      `the task ${defined.options.name}, which cannot be called with request and reply`)
  }
  const run = functionOf(fn, defined) as TaskFunction<[FastifyRequest, FastifyReply]>
  const name = nameOf(fn)
  // A method has no prototype: each request sees at once that it may be a task. With a name that it is given later, V8 would
  // look for each of its properties in a dictionary.
  const { [name]: routeTask } = {
    [name] (this: TaskContext, request: FastifyRequest, reply: FastifyReply): unknown {
      return runAdopting(this as Attempt, run, request, reply)
    }
  }
  return (defined === undefined ? routeTask : define(routeTask, defined.options)) as TaskFunction<never[]>
}

function adopt (result: unknown, reply: FastifyReply): unknown {
  if (isTask(result)) reply.background.addTasks(result instanceof BackgroundTasks ? result : [result])
  else if (Array.isArray(result) && result.some(isTask)) reply.background.addTasks(result)
  else return result
}
