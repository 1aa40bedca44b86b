import t, { type Test } from 'tap'
import { once } from 'node:events'
import { constants, type ClientHttp2Session, type ClientHttp2Stream, type Http2ServerResponse, type ServerHttp2Session } from 'node:http2'
import { PassThrough, Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { listen } from './helpers/app'
import { counts } from './helpers/counts'
import { isCollected } from './helpers/gc'
import { BIG, createHttp2App, get, http2Client, read, unboundedRequests } from './helpers/http2'
import { latch, turn, until } from './helpers/latch'
import { manyTurns } from './helpers/reply'
import { rawClient } from './helpers/tcp'

const { NGHTTP2_NO_ERROR } = constants

// One byte more than a stream's window, and no more than Fastify writes at once: the response ends at the first write.
const ENDED = BIG.subarray(0, 64 * 1024)

interface Blocked { app: FastifyInstance, session: ClientHttp2Session, stream: ClientHttp2Stream, ran: string[] }

/**
 * A request whose client sends a body without end, and does not read the reply, which has a task of its own and one of
 * the route.
 */
async function blocked (t: Test, send: (reply: FastifyReply, request: FastifyRequest) => unknown): Promise<Blocked> {
  const app = await createHttp2App(t)
  const ran: string[] = []
  app.addContentTypeParser('*', (_, payload, done) => { done(null, payload) })
  app.post('/', { background: () => { ran.push('route') } }, (request, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    send(reply, request)
  })
  const { port } = await listen(app)

  const session = await http2Client(t, port)
  const stream = session.request({ ':path': '/', ':method': 'POST', 'content-type': 'application/octet-stream' })
  stream.on('error', () => {}) // a reset is what these tests are about
  stream.write(BIG.subarray(0, 1024 * 1024)) // more makes the server end the session
  await once(stream, 'response')
  await manyTurns()
  t.strictSame(app.background.stats(), counts({ accepted: 2, queued: 2 }))
  return { app, session, stream, ran }
}

for (const [name, lose] of [
  ['before it', async (session: ClientHttp2Session, answer: () => void, quick: ClientHttp2Stream) => {
    await read(quick)
    session.destroy()
    answer()
  }],
  ['after it', async (session: ClientHttp2Session, answer: () => void, quick: ClientHttp2Stream) => {
    await once(quick, 'response')
    answer()
    await turn()
    session.destroy()
  }]
] as const) {
  t.test(`T2: a task runs when the session is lost in the turn of the loop that writes the reply, ${name}`, async (t) => {
    const app = await createHttp2App(t)
    const answer = latch()
    const added = latch()
    app.get('/slow', async (_, reply) => {
      await answer
      reply.background.addTask(() => {})
      added.open()
      return ENDED
    })
    app.get('/quick', async () => 'quick')
    const { port } = await listen(app)

    const session = await http2Client(t, port)
    get(session, '/slow')
    await lose(session, answer.open, get(session, '/quick'))
    await added
    await app.background.idle()

    t.strictSame(app.background.stats(), counts({ accepted: 1, completed: 1 }))
  })
}

t.test('T2: tasks run when a stream is reset without an error, and its reply not sent in full', async (t) => {
  const { app, stream, ran } = await blocked(t, (reply) => reply.send(ENDED))
  stream.close(NGHTTP2_NO_ERROR)
  await app.background.idle()

  t.strictSame(ran, ['route', 'reply'])
})

t.test('T2: tasks run when a stream is reset without an error in mid-stream', async (t) => {
  const { app, stream, ran } = await blocked(t, (reply) => {
    const body = new Readable({ read () {} })
    body.push(BIG)
    reply.send(body)
  })
  stream.close(NGHTTP2_NO_ERROR)
  await app.background.idle()

  t.strictSame(ran, ['route', 'reply'])
})

t.test('T2: tasks run when a stream is reset without an error in mid-stream, and its request waits for the reply', async (t) => {
  const { app, stream, ran } = await blocked(t, (reply, { raw }) => { reply.send(raw.pipe(new PassThrough())) })
  stream.close(NGHTTP2_NO_ERROR)
  await app.background.idle()

  t.strictSame(ran, ['route', 'reply'])
})

t.test('T2: tasks run when a stream is reset without an error, and a part of its request is never read', async (t) => {
  const { app, session, stream, ran } = await blocked(t, (reply, { raw }) => {
    raw.once('data', () => {
      raw.pause()
      reply.send(ENDED)
    })
  })
  stream.close(NGHTTP2_NO_ERROR)
  await manyTurns()
  session.close()
  await app.background.idle()

  t.strictSame(ran, ['route', 'reply'], 'when the client goes, at the latest')
})

t.test('T2: a task runs when the first look at reply.background comes after a reset without an error', async (t) => {
  const app = await createHttp2App(t)
  let reply!: FastifyReply
  app.get('/', (_, own) => {
    reply = own
    reply.send(ENDED)
  })
  const { port } = await listen(app)

  const stream = get(await http2Client(t, port), '/')
  await once(stream, 'response')
  stream.close(NGHTTP2_NO_ERROR)
  await until(() => streamOf(reply).closed)
  await manyTurns()
  reply.background.addTask(() => {})
  await app.background.idle()

  t.strictSame(app.background.stats(), counts({ accepted: 1, completed: 1 }))
})

t.test('T1: over HTTP/2 no task starts when the client says that it goes, and its reply is still being sent', async (t) => {
  const app = await createHttp2App(t)
  const goaway = latch()
  const order: string[] = []
  app.server.on('session', (session: ServerHttp2Session) => { session.on('goaway', () => goaway.open()) })
  app.get('/', (_, reply) => {
    reply.background.addTask(() => { order.push('task') })
    reply.send(ENDED)
  })
  const { port } = await listen(app)

  const session = await http2Client(t, port)
  const stream = get(session, '/')
  await once(stream, 'response')
  session.close()
  await goaway
  await manyTurns()
  t.strictSame(app.background.stats(), counts({ accepted: 1, queued: 1 }))
  order.push('the client reads')
  const received = await stream.toArray()
  await app.background.idle()

  t.equal(Buffer.concat(received).length, ENDED.length)
  t.strictSame(order, ['the client reads', 'task'])
})

t.test('T1: over HTTP/2 no task starts while the connection holds up the reply, sent by the response or the stream', async (t) => {
  const app = await createHttp2App(t)
  const order: string[] = []
  const replies: FastifyReply[] = []
  app.get('/', (_, reply) => {
    reply.hijack()
    replies.push(reply)
  })
  function addTasks (): void {
    for (const reply of replies) reply.background.addTask(() => { order.push('task') })
  }
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.pause()
  client.socket.write(unboundedRequests(3))
  await until(() => replies.length === 3)
  addTasks()
  const [first, second, third] = replies
  first.raw.end(BIG)
  second.raw.end('x')
  streamOf(third).respond()
  streamOf(third).end('x')
  await until(() => streamOf(third).closed)
  await manyTurns()
  addTasks()
  await manyTurns()
  t.strictSame(app.background.stats(), counts({ accepted: 6, queued: 6 }))
  order.push('the client reads')
  client.socket.resume()
  await app.background.idle()

  t.equal(order[0], 'the client reads')
  t.strictSame(app.background.stats(), counts({ accepted: 6, completed: 6 }))
  client.leave()
})

t.test('T2: however many replies of a session wait, it gets one listener', async (t) => {
  const app = await createHttp2App(t)
  const all = latch()
  const release = latch()
  const listeners: number[] = []
  app.get('/', async (_, reply) => {
    const session = streamOf(reply).session!
    const before = session.listenerCount('goaway')
    reply.background.addTask(() => {})
    if (listeners.push(session.listenerCount('goaway') - before) === 15) all.open()
    await release
    return 'ok'
  })
  const { port } = await listen(app)

  const session = await http2Client(t, port)
  for (let i = 0; i < 15; i++) get(session, '/').resume()
  await all
  release.open()
  await app.background.idle()

  t.strictSame(listeners, [1, ...new Array(14).fill(0)])
  t.strictSame(app.background.stats(), counts({ accepted: 15, completed: 15 }))
})

t.test('R6: a reply whose tasks have run is let go of while its session goes on', async (t) => {
  const app = await createHttp2App(t)
  let ref!: WeakRef<object>
  app.get('/', async (_, reply) => {
    ref = new WeakRef(reply)
    reply.background.addTask(() => {})
    return 'ok'
  })
  const { port } = await listen(app)

  const session = await http2Client(t, port)
  await read(get(session, '/'))
  await app.background.idle()

  t.ok(await isCollected(ref))
  t.notOk(session.closed)
})

function streamOf (reply: FastifyReply): Http2ServerResponse['stream'] {
  return (reply.raw as unknown as Http2ServerResponse).stream
}
