import { once } from 'node:events'
import {
  connect, type ClientHttp2Session, type ClientHttp2Stream, type IncomingHttpHeaders, type ServerHttp2Session
} from 'node:http2'
import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import type background from '../../lib/index'
import { createApp } from './app'

// RFC 9113, section 6
const HEADERS = 0x1
const SETTINGS = 0x4
const WINDOW_UPDATE = 0x8
const END_STREAM = 0x1
const END_HEADERS = 0x4

type Test = Parameters<typeof createApp>[0]

/** More than a stream's window and a loopback connection hold when nobody reads. */
export const BIG = Buffer.alloc(32 * 1024 * 1024, 'x')

/** A fresh app over HTTP/2 without TLS. Its types are those of HTTP/1, which Fastify's handlers share. */
export async function createHttp2App (t: Test, options: background.BackgroundOptions = {}): Promise<FastifyInstance> {
  const app = await createApp(t, options, { http2: true } as FastifyServerOptions)
  // Node does not close a session that has lost a stream in mid-reply, and `app.close()` would wait for it.
  app.server.on('session', (session: ServerHttp2Session) => { t.teardown(() => session.destroy()) })
  return app
}

/** A client's session, gone at the end of the test. */
export async function http2Client (t: Test, port: number): Promise<ClientHttp2Session> {
  const session = connect(`http://127.0.0.1:${port}`)
  session.on('error', () => {}) // a lost connection is what some tests are about
  t.teardown(() => session.destroy())
  await once(session, 'connect')
  return session
}

/** Sends a request without a body. */
export function get (session: ClientHttp2Session, path: string, method = 'GET'): ClientHttp2Stream {
  const stream = session.request({ ':path': path, ':method': method })
  stream.on('error', () => {}) // a reset is what some tests are about
  return stream
}

/** The status of a reply that has been read to its end. */
export async function read (stream: ClientHttp2Stream): Promise<{ status: number | undefined, body: string }> {
  const [headers] = await once(stream, 'response') as [IncomingHttpHeaders & { ':status'?: number }]
  let body = ''
  for await (const chunk of stream.setEncoding('utf8')) body += chunk
  return { status: headers[':status'], body }
}

/**
 * The bytes of a client that asks for `/`, once or more often, and gives the server all the room that HTTP/2 has, so
 * that nothing but the connection itself holds a reply back. Node's own client cannot be kept from reading its
 * connection.
 */
export function unboundedRequests (count = 1): Buffer {
  const windowSize = Buffer.from([0, 4, 0x7f, 0xff, 0xff, 0xff]) // SETTINGS_INITIAL_WINDOW_SIZE: 2 ** 31 - 1
  const increment = Buffer.from([0x7f, 0xff, 0, 0]) // from 2 ** 16 - 1 to 2 ** 31 - 1
  // GET, http, / of the static table, and :authority (RFC 7541, appendix A)
  const headers = Buffer.concat([Buffer.from([0x82, 0x86, 0x84, 0x41, 9]), Buffer.from('localhost')])
  return Buffer.concat([
    Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    frame(SETTINGS, 0, 0, windowSize),
    frame(WINDOW_UPDATE, 0, 0, increment),
    ...Array.from({ length: count }, (_, i) => frame(HEADERS, END_STREAM | END_HEADERS, 2 * i + 1, headers))
  ])
}

function frame (type: number, flags: number, stream: number, payload: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0, 0, payload.length, type, flags, 0, 0, 0, stream]), payload])
}
