import { EventEmitter } from 'node:events'

interface Droppable {
  readonly destroy?: unknown
  readonly cancel?: unknown
  /** Of a web `Response`. */
  readonly body?: unknown
}

/**
 * Lets go of a payload that is not going to be sent: Fastify would leave its file or its connection open.
 *
 * @param request Of Node. Where it is the payload, an echo, the reply goes by the connection that it would take with it.
 */
export function dropPayload (payload: unknown, request: unknown): void {
  if (payload === null || typeof payload !== 'object' || payload === request) return
  const { destroy, cancel, body } = payload as Droppable
  if (payload instanceof EventEmitter && typeof destroy === 'function') {
    // It may have failed, and nobody else is left to hear of that.
    payload.on('error', ignore)
    destroy.call(payload)
  } else if (typeof cancel === 'function') {
    // Rejects where somebody is reading it: then it is theirs.
    Promise.resolve(cancel.call(payload)).catch(ignore)
  } else {
    dropPayload(body, request)
  }
}

function ignore (): void {}
