import type { ServerHttp2Stream } from 'node:http2'
import type { FastifyReply } from 'fastify'

/**
 * Whether nothing can reach the client of a reply any more. The response does not always emit `close` then: not where the
 * client had left before anybody listened, not for an HTTP/1 reply that waits behind another on its connection (Node 20
 * and 22), and not for an HTTP/2 stream that was reset with NO_ERROR.
 */
export function hasLeft ({ raw, request }: FastifyReply): boolean {
  const { stream } = raw as { stream?: ServerHttp2Stream }
  return stream === undefined ? raw.destroyed || request.raw.socket.destroyed : stream.closed
}
