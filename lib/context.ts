import { AsyncLocalStorage } from 'node:async_hooks'
import { keepContexts } from './context-storage'
import type { TaskContext } from './types'

const contexts = new AsyncLocalStorage<TaskContext>()
keepContexts(contexts)

/**
 * The context of the task that this code runs in: for arrow functions, which have no `this`, and for what a task calls.
 * Only to import this module makes the plugin keep contexts in an `AsyncLocalStorage`; nobody else pays for it.
 *
 * @returns `undefined` outside a task, and in one that had started before the module was imported.
 */
export function getTaskContext (): TaskContext | undefined {
  return contexts.getStore()
}
