import type { AsyncLocalStorage } from 'node:async_hooks'
import type { TaskContext, TaskFunction } from './types'

let storage: AsyncLocalStorage<TaskContext> | undefined

/** From here on, the context of each task function that is called is found in `contexts`. */
export function keepContexts (contexts: AsyncLocalStorage<TaskContext>): void {
  storage = contexts
}

/** Calls something that belongs to no task, wherever that is. */
export function callOutside<T> (fn: () => T): T {
  return storage === undefined ? fn() : storage.run(undefined as unknown as TaskContext, fn)
}

/** Calls a task function. */
export function callInContext<A extends unknown[], R> (context: TaskContext, fn: TaskFunction<A, R>, args: A): R {
  return storage === undefined ? fn.apply(context, args) : storage.run(context, () => fn.apply(context, args))
}
