import type { StoredSnapshot } from '../engines/engine'
import { readError, textOf, withCauses } from '../read-error'
import type { Run } from '../task-run'
import type { TaskProgress } from '../types'
import { showArgs } from './args'
import type { ShownDetail, ShownRun } from './frame'

const MAX_NAME = 200
const MAX_MESSAGE = 300
const MAX_STACK = 8_000
const MAX_ARGS = 4_000

/** What the page shows of a run of this process. */
export function showRun (run: Run): ShownRun {
  const { id, name, state, attempt, progress, error, queuedAt, startedAt, finishedAt, isDurable } = run
  return {
    id,
    name: cut(name, MAX_NAME),
    state,
    attempt,
    progress: showProgress(progress),
    error: error === undefined ? undefined : lineOf(error),
    queuedAt,
    startedAt,
    finishedAt,
    durable: isDurable
  }
}

/** What the page shows of a task that an engine has. */
export function showStored ({ task, state, attempt, progress, error, startedAt, finishedAt }: StoredSnapshot): ShownRun {
  return {
    id: task.id,
    name: cut(task.name, MAX_NAME),
    state,
    attempt,
    progress: showProgress(progress),
    error: error === undefined ? undefined : lineOf(error),
    queuedAt: task.queuedAt,
    startedAt,
    finishedAt,
    durable: true
  }
}

/** @param args `undefined` where they are not to be shown. */
export function showDetail (shown: ShownRun, error: unknown, args: readonly unknown[] | null | undefined): ShownDetail {
  return {
    ...shown,
    stack: error === undefined ? undefined : cut(withCauses(textOf(error), error), MAX_STACK),
    args: args === undefined || args === null ? undefined : cut(showArgs(args), MAX_ARGS)
  }
}

function lineOf (thrown: unknown): string {
  const { name, message } = readError(thrown)
  return cut(name === undefined ? message : `${name}: ${message}`, MAX_MESSAGE)
}

function showProgress (progress: TaskProgress | undefined): ShownRun['progress'] {
  if (progress === undefined) return undefined
  const { value, message } = progress
  return { value, message: message === undefined ? undefined : cut(message, MAX_MESSAGE) }
}

function cut (text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length)}…`
}
