/**
 * The names of what is recorded: of the semantic conventions for messaging where they have one. Those are unstable, so
 * they are written down here, as their authors advise libraries to do.
 *
 * https://opentelemetry.io/docs/specs/semconv/messaging/
 */
export const SYSTEM = 'messaging.system'
export const OPERATION_NAME = 'messaging.operation.name'
export const OPERATION_TYPE = 'messaging.operation.type'
export const DESTINATION = 'messaging.destination.name'
export const MESSAGE_ID = 'messaging.message.id'
export const ERROR_TYPE = 'error.type'
export const ATTEMPT = 'fastify.background.attempt'
export const OUTCOME = 'fastify.background.outcome'
export const STATE = 'fastify.background.state'

/** What each process span and each duration has in common. */
export const PROCESSING = Object.freeze({ [SYSTEM]: 'fastify_background', [OPERATION_NAME]: 'process' })

// What the conventions have for an error that says nothing of its kind.
const OTHER = '_OTHER'

/** Of which kind an error is: its code, else its name. There are few of them, as there have to be of an attribute. */
export function errorType (error: unknown): string {
  // A getter may throw.
  try {
    const { code, name } = error as { code?: unknown, name?: unknown }
    if (typeof code === 'string' && code !== '') return code
    if (error instanceof Error && typeof name === 'string' && name !== '') return name
  } catch {}
  return OTHER
}
