import { createError, type FastifyErrorConstructor } from '@fastify/error'

/**
 * A value that cannot be a task: thrown by `addTask`, `addTasks`, the constructors of `BackgroundTask` and
 * `BackgroundTasks`, and at boot for a route's `background` option.
 */
export const FST_ERR_BACKGROUND_INVALID_TASK: FastifyErrorConstructor<{
  code: 'FST_ERR_BACKGROUND_INVALID_TASK', statusCode: 500
}, [where: string, expected: string, got: string]> = createError(
  'FST_ERR_BACKGROUND_INVALID_TASK', '%s: expected %s, got %s', 500, TypeError as ErrorConstructor
)

/** A wrong or unknown option of the plugin or of a group: thrown at register, or by the constructor. */
export const FST_ERR_BACKGROUND_INVALID_OPTION: FastifyErrorConstructor<{
  code: 'FST_ERR_BACKGROUND_INVALID_OPTION', statusCode: 500
}, [option: string, expected: string, got: string]> = createError(
  'FST_ERR_BACKGROUND_INVALID_OPTION', 'Option "%s": expected %s, got %s', 500
)

/** A task added after the plugin has closed: a 503 where it reaches the client. */
export const FST_ERR_BACKGROUND_CLOSED: FastifyErrorConstructor<{
  code: 'FST_ERR_BACKGROUND_CLOSED', statusCode: 503
}, [task: string]> = createError(
  'FST_ERR_BACKGROUND_CLOSED', 'Background task "%s" refused: the application has closed', 503
)
