import type { StoredSnapshot } from '../engines/engine'
import { orUndefined, readError } from '../read-error'
import type { Run } from '../task-run'
import type { TaskProgress } from '../types'
import { showArgs } from './args'
import type { ShownDetail, ShownRun } from './frame'

const MAX_NAME = 200
const MAX_MESSAGE = 300
const MAX_STACK = 8_000
const MAX_ARGS = 4_000
const MAX_CAUSES = 5

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
    stack: error === undefined ? undefined : stackOf(error),
    args: args === undefined || args === null ? undefined : cut(showArgs(args), MAX_ARGS)
  }
}

function lineOf (thrown: unknown): string {
  const { name, message } = readError(thrown)
  return cut(name === undefined ? message : `${name}: ${message}`, MAX_MESSAGE)
}

/** With what it was caused by: "fetch failed" alone says little. */
function stackOf (error: unknown): string {
  const stacks = []
  for (let each = error; each !== undefined && stacks.length < MAX_CAUSES; each = causeOf(each)) stacks.push(ownStackOf(each))
  return cut(stacks.join('\ncaused by: '), MAX_STACK)
}

function ownStackOf (thrown: unknown): string {
  const { stack, code } = readError(thrown)
  const text = cut(stack ?? lineOf(thrown), MAX_STACK)
  return code === undefined ? text : `${text}\n  code: ${code}`
}

function causeOf (thrown: unknown): unknown {
  return orUndefined(() => (Object(thrown) as Error).cause ?? undefined)
}

function showProgress (progress: TaskProgress | undefined): ShownRun['progress'] {
  if (progress === undefined) return undefined
  const { value, message } = progress
  return { value, message: message === undefined ? undefined : cut(message, MAX_MESSAGE) }
}

function cut (text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length)}…`
}
