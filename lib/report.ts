import type { FastifyBaseLogger } from 'fastify'
import { isThenable } from './thenable'
import type { BackgroundOptions, TaskRun } from './types'

/** Says that a run failed: one line in the log, then `onTaskError`. Neither can do harm (R3). */
export function reportFailure (run: TaskRun, log: FastifyBaseLogger, onTaskError: BackgroundOptions['onTaskError']): void {
  say(log, 'error', run.error, fieldsOf(run), 'background task failed')
  releaseStack(run.error)
  if (onTaskError === undefined) return
  try {
    const result: unknown = onTaskError(run.error, run)
    if (isThenable(result)) Promise.resolve(result).then(undefined, (error) => logHandlerFailure(error, run, log))
  } catch (error) {
    logHandlerFailure(error, run, log)
  }
}

/** Says that an attempt failed that is not the last. */
export function reportRetry (run: TaskRun, log: FastifyBaseLogger, delay: number): void {
  const { attempt, error } = run
  say(log, 'warn', error, { ...fieldsOf(run), attempt }, `background task failed, to be tried again in ${delay} ms`)
  releaseStack(error)
}

/** Says that a call ended a run. */
export function reportCancel (run: TaskRun, log: FastifyBaseLogger): void {
  attempt(() => log.info(fieldsOf(run), 'background task cancelled'))
  releaseStack(run.error)
}

/** Says that shutdown gave a run back to its engine. */
export function reportReturn (run: TaskRun, log: FastifyBaseLogger): void {
  attempt(() => log.info(fieldsOf(run), 'background task handed back: it was not finished when closeTimeout was over'))
  releaseStack(run.error)
}

/** Says that an engine did not answer when it was told that a run was cancelled. */
export function reportUndropped (run: TaskRun, error: unknown, log: FastifyBaseLogger): void {
  say(log, 'warn', error, fieldsOf(run), 'background task cancelled, but its engine may still run it')
}

const WHERE_SHUTDOWN_CAME = {
  queued: 'discarded: it had not started',
  active: 'cancelled: it was still running',
  retrying: 'cancelled: it was waiting for its next attempt'
}

/** Says that shutdown ended a run, and in which state it was. */
export function reportShutdown (run: TaskRun, was: keyof typeof WHERE_SHUTDOWN_CAME, log: FastifyBaseLogger): void {
  attempt(() => log.warn(fieldsOf(run), `background task ${WHERE_SHUTDOWN_CAME[was]} when closeTimeout was over`))
  releaseStack(run.error)
}

/** By what each line tells its run. */
function fieldsOf ({ name, id }: TaskRun): { task: string, taskId: string } {
  return { task: name, taskId: id }
}

/** A getter or a serializer may throw: the failure is said all the same. */
function say (log: FastifyBaseLogger, level: 'error' | 'warn', err: unknown, fields: object, message: string): void {
  const unable = `${message}; its error cannot be logged`
  const lines = [
    () => log[level]({ err, ...fields }, message),
    () => log[level](fields, `${unable}: ${String(err)}`),
    () => log[level](fields, unable)
  ]
  lines.some(attempt)
}

// Until its stack is first read, an error keeps what was on it, down to the request (R6).
function releaseStack (error: unknown): void {
  attempt(() => String((error as Error).stack))
}

function logHandlerFailure (error: unknown, run: TaskRun, log: FastifyBaseLogger): void {
  attempt(() => log.error({ err: error, ...fieldsOf(run) }, 'onTaskError failed'))
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
