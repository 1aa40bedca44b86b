import { createError, type FastifyErrorConstructor } from '@fastify/error'

/**
 * A value that cannot be a task: thrown by `addTask`, `addTasks`, `defineTask`, `threadTask`, `reply.accepted()`, the
 * constructors of `BackgroundTask` and `BackgroundTasks`, and at boot for a route's `background` option and for a thread's
 * file without its function. What an attempt fails with that returned a generator.
 */
export const FST_ERR_BACKGROUND_INVALID_TASK: FastifyErrorConstructor<{
  code: 'FST_ERR_BACKGROUND_INVALID_TASK', statusCode: 500
}, [where: string, expected: string, got: string]> = createError(
  'FST_ERR_BACKGROUND_INVALID_TASK', '%s: expected %s, got %s', 500, TypeError as ErrorConstructor
)

/**
 * A wrong or unknown option of the plugin, of a sub-path, of an engine, of a definition or of a group, or an optional
 * package that is missing: thrown at register, by `defineTask` or by the constructor. Also thrown by `this.progress()` and
 * by the constructor of `RetryAfterError`, for a wrong value.
 */
export const FST_ERR_BACKGROUND_INVALID_OPTION: FastifyErrorConstructor<{
  code: 'FST_ERR_BACKGROUND_INVALID_OPTION', statusCode: 500
}, [option: string, expected: string, got: string]> = createError(
  'FST_ERR_BACKGROUND_INVALID_OPTION', 'Option "%s": expected %s, got %s', 500
)

/**
 * More tasks than `maxPending` are unfinished: thrown by `addTask` and `addTasks`, and by the hook that accepts a
 * route's tasks. Where it reaches the client it is a 503 with `Retry-After`.
 */
export const FST_ERR_BACKGROUND_QUEUE_FULL: FastifyErrorConstructor<{
  code: 'FST_ERR_BACKGROUND_QUEUE_FULL', statusCode: 503
}, [task: string, maxPending: number]> = createError(
  'FST_ERR_BACKGROUND_QUEUE_FULL', 'Background task "%s" refused: maxPending is %d', 503
)

// Fastify sends the `headers` of an error. Seconds, as @fastify/under-pressure has by default.
Object.assign(FST_ERR_BACKGROUND_QUEUE_FULL.prototype, { headers: Object.freeze({ 'retry-after': '10' }) })

/**
 * The application is closing or has closed: thrown by `addTask` and `addTasks` after the plugin has closed, a 503 where
 * it reaches the client; the reason of a run's signal where `closeTimeout` ended the run.
 */
export const FST_ERR_BACKGROUND_CLOSED: FastifyErrorConstructor<{
  code: 'FST_ERR_BACKGROUND_CLOSED', statusCode: 503
}, [task: string, what: string]> = createError(
  'FST_ERR_BACKGROUND_CLOSED', 'Background task "%s" %s: the application has closed', 503
)

/** An attempt took longer than its task's `timeout`: what the attempt failed with, and the reason of its signal. */
export const FST_ERR_BACKGROUND_TASK_TIMEOUT: FastifyErrorConstructor<{
  code: 'FST_ERR_BACKGROUND_TASK_TIMEOUT', statusCode: 500
}, [task: string, timeout: number]> = createError(
  'FST_ERR_BACKGROUND_TASK_TIMEOUT', 'Background task "%s" timed out after %d ms', 500
)

/** A durable task was added, and the plugin has no engine. */
export const FST_ERR_BACKGROUND_NO_ENGINE: FastifyErrorConstructor<{
  code: 'FST_ERR_BACKGROUND_NO_ENGINE', statusCode: 500
}, [task: string, what: string]> = createError(
  'FST_ERR_BACKGROUND_NO_ENGINE', 'Background task "%s" %s', 500
)

/** A durable task that is not among the plugin's `tasks` was added, or found in the engine for too long. */
export const FST_ERR_BACKGROUND_UNKNOWN_TASK: FastifyErrorConstructor<{
  code: 'FST_ERR_BACKGROUND_UNKNOWN_TASK', statusCode: 500
}, [task: string]> = createError(
  'FST_ERR_BACKGROUND_UNKNOWN_TASK', 'Background task "%s" is not among the "tasks" of the plugin', 500
)

/** An argument of a durable task is not JSON, or would not be the same after it: thrown by `addTask` and `addTasks`. */
export const FST_ERR_BACKGROUND_ARGS_NOT_SERIALIZABLE: FastifyErrorConstructor<{
  code: 'FST_ERR_BACKGROUND_ARGS_NOT_SERIALIZABLE', statusCode: 500
}, [task: string, path: string, got: string]> = createError(
  'FST_ERR_BACKGROUND_ARGS_NOT_SERIALIZABLE', 'Background task "%s": %s has to be JSON, got %s', 500, TypeError as ErrorConstructor
)

/** The arguments of a durable task are larger than `maxArgsSize`: thrown by `addTask` and `addTasks`. */
export const FST_ERR_BACKGROUND_ARGS_TOO_LARGE: FastifyErrorConstructor<{
  code: 'FST_ERR_BACKGROUND_ARGS_TOO_LARGE', statusCode: 500
}, [task: string, size: number, maxArgsSize: number]> = createError(
  'FST_ERR_BACKGROUND_ARGS_TOO_LARGE', 'Background task "%s": its arguments are %d bytes of JSON, maxArgsSize is %d', 500
)

/**
 * A durable task could not be stored within `storeTimeout`: what its run fails with, and the error of its reply. Why is
 * its `cause`.
 */
export const FST_ERR_BACKGROUND_STORE_FAILED: FastifyErrorConstructor<{
  code: 'FST_ERR_BACKGROUND_STORE_FAILED', statusCode: 503
}, [tasks: string, why: string]> = createError(
  'FST_ERR_BACKGROUND_STORE_FAILED', 'Background task %s could not be stored: %s', 503
)

/** The process of a durable task died more than `maxRestarts` times while it was at work. */
export const FST_ERR_BACKGROUND_TOO_MANY_RESTARTS: FastifyErrorConstructor<{
  code: 'FST_ERR_BACKGROUND_TOO_MANY_RESTARTS', statusCode: 500
}, [task: string, restarts: number]> = createError(
  'FST_ERR_BACKGROUND_TOO_MANY_RESTARTS', 'Background task "%s": its process died at it %d times', 500
)

/** With `/status`: there is no run of this id, or it is not for who asks. */
export const FST_ERR_BACKGROUND_RUN_NOT_FOUND: FastifyErrorConstructor<{
  code: 'FST_ERR_BACKGROUND_RUN_NOT_FOUND', statusCode: 404
}, []> = createError('FST_ERR_BACKGROUND_RUN_NOT_FOUND', 'There is no such background task', 404)

/** With `/status`: a run cannot be cancelled that is over. */
export const FST_ERR_BACKGROUND_RUN_FINISHED: FastifyErrorConstructor<{
  code: 'FST_ERR_BACKGROUND_RUN_FINISHED', statusCode: 409
}, [state: string]> = createError('FST_ERR_BACKGROUND_RUN_FINISHED', 'The background task is over: %s', 409)

/** With `/status`: the engine does not say what it knows of a run. */
export const FST_ERR_BACKGROUND_ENGINE_AWAY: FastifyErrorConstructor<{
  code: 'FST_ERR_BACKGROUND_ENGINE_AWAY', statusCode: 503
}, []> = createError('FST_ERR_BACKGROUND_ENGINE_AWAY', 'What is known of the background task cannot be said for now', 503)

/** With `/status`: more clients than `maxListeners` follow runs, or the application closes. */
export const FST_ERR_BACKGROUND_TOO_MANY_LISTENERS: FastifyErrorConstructor<{
  code: 'FST_ERR_BACKGROUND_TOO_MANY_LISTENERS', statusCode: 503
}, [maxListeners: number]> = createError(
  'FST_ERR_BACKGROUND_TOO_MANY_LISTENERS', 'Too many clients follow background tasks: maxListeners is %d', 503
)

for (const error of [FST_ERR_BACKGROUND_ENGINE_AWAY, FST_ERR_BACKGROUND_TOO_MANY_LISTENERS]) {
  Object.assign(error.prototype, { headers: Object.freeze({ 'retry-after': '10' }) })
}

/** A request that changes something has come to the dashboard, and not from its page: a 403. */
export const FST_ERR_BACKGROUND_CROSS_SITE: FastifyErrorConstructor<{
  code: 'FST_ERR_BACKGROUND_CROSS_SITE', statusCode: 403
}, []> = createError(
  'FST_ERR_BACKGROUND_CROSS_SITE', 'The request does not come from the page of the dashboard', 403
)

/**
 * Something of a task in a thread cannot be sent from one thread to another, by the structured clone algorithm: an
 * argument, thrown by `addTask` and `addTasks`, or the result, what its attempt fails with.
 */
export const FST_ERR_BACKGROUND_NOT_CLONEABLE: FastifyErrorConstructor<{
  code: 'FST_ERR_BACKGROUND_NOT_CLONEABLE', statusCode: 500
}, [task: string, path: string, got: string]> = createError(
  'FST_ERR_BACKGROUND_NOT_CLONEABLE', 'Background task "%s": %s cannot be sent between threads, got %s', 500, TypeError as ErrorConstructor
)

/**
 * The thread that a task was at work in has ended, by `process.exit()`, an uncaught error or for want of memory; or could
 * not be started.
 */
export const FST_ERR_BACKGROUND_THREAD_ENDED: FastifyErrorConstructor<{
  code: 'FST_ERR_BACKGROUND_THREAD_ENDED', statusCode: 500
}, [task: string, why: string]> = createError(
  'FST_ERR_BACKGROUND_THREAD_ENDED', 'Background task "%s": its thread has ended: %s', 500
)
