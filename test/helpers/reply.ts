import type { FastifyReply } from 'fastify'
import { turn } from './latch'

/** Resolves when the response closes: it is finished, or the client has gone. To be called while it is open. */
export function closed (reply: FastifyReply): Promise<void> {
  return new Promise((resolve) => { reply.raw.once('close', () => resolve()) })
}

/** More turns of the event loop than a task would need that is free to start: what has not begun by then, waits. */
export async function manyTurns (): Promise<void> {
  for (let i = 0; i < 50; i++) await turn()
}
