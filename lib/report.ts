import type { FastifyBaseLogger } from 'fastify'
import { isThenable } from './execute'
import type { BackgroundOptions, TaskRun } from './types'

/** Says that a run failed: one line in the log, then `onTaskError`. Neither can do harm (R3). */
export function reportFailure (run: TaskRun, log: FastifyBaseLogger, onTaskError: BackgroundOptions['onTaskError']): void {
  logFailure(run, log)
  releaseStack(run.error)
  if (onTaskError === undefined) return
  try {
    const result: unknown = onTaskError(run.error, run)
    if (isThenable(result)) Promise.resolve(result).then(undefined, (error) => logHandlerFailure(error, run, log))
  } catch (error) {
    logHandlerFailure(error, run, log)
  }
}

/** Says that shutdown ended a run. */
export function reportAbort (run: TaskRun, log: FastifyBaseLogger): void {
  attempt(() => log.warn({ task: run.name, taskId: run.id }, run.startedAt === undefined
    ? 'background task discarded: it had not started when closeTimeout was over'
    : 'background task cancelled: it was still running when closeTimeout was over'))
}

function logFailure (run: TaskRun, log: FastifyBaseLogger): void {
  const { name: task, id: taskId, error: err } = run
  const unable = 'background task failed with an error that cannot be logged'
  // A getter or a serializer may throw: the failure is said all the same.
  const lines = [
    () => log.error({ err, task, taskId }, 'background task failed'),
    () => log.error({ task, taskId }, `${unable}: ${String(err)}`),
    () => log.error({ task, taskId }, unable)
  ]
  lines.some(attempt)
}

// Until its stack is first read, an error keeps what was on it, down to the request (R6).
function releaseStack (error: unknown): void {
  attempt(() => String((error as Error).stack))
}

function logHandlerFailure (error: unknown, run: TaskRun, log: FastifyBaseLogger): void {
  attempt(() => log.error({ err: error, task: run.name, taskId: run.id }, 'onTaskError failed'))
}

/** @returns whether it went well: there is nobody left to tell. */
function attempt (action: () => unknown): boolean {
  try {
    action()
    return true
  } catch {
    return false
  }
}
