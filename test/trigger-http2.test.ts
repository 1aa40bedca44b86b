import t from 'tap'
import { once } from 'node:events'
import { constants } from 'node:http2'
import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import type background from '../lib/index'
import { listen } from './helpers/app'
import { counts } from './helpers/counts'
import { BIG, createHttp2App, get, http2Client, read, unboundedRequests } from './helpers/http2'
import { latch } from './helpers/latch'
import { closed, manyTurns } from './helpers/reply'
import { rawClient } from './helpers/tcp'

const { NGHTTP2_CANCEL } = constants

t.test('T2: tasks run after a reply over HTTP/2', async (t) => {
  const app = await createHttp2App(t)
  const ran: string[] = []
  app.get('/', { background: () => { ran.push('route') } }, async (_, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    return 'ok'
  })
  const { port } = await listen(app)

  const session = await http2Client(t, port)
  t.strictSame(await read(get(session, '/')), { status: 200, body: 'ok' })
  await app.background.idle()

  t.strictSame(ran, ['route', 'reply'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 2 }))
})

t.test('T4: over HTTP/2 the status decides, with a body and without', async (t) => {
  const app = await createHttp2App(t)
  let ran: string[] = []
  app.get<{ Params: { status: string } }>('/:status', { background: () => { ran.push('route') } }, async (request, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    return reply.code(Number(request.params.status)).send()
  })
  const { port } = await listen(app)
  const session = await http2Client(t, port)

  for (const [method, status, expected] of [
    ['GET', 200, ['route', 'reply']], ['GET', 204, ['route', 'reply']], ['GET', 304, ['route', 'reply']],
    ['HEAD', 200, ['route', 'reply']], ['GET', 404, ['reply']], ['HEAD', 500, ['reply']]
  ] as const) {
    ran = []
    t.strictSame(await read(get(session, `/${status}`, method)), { status, body: '' })
    await app.background.idle()
    t.strictSame(ran, expected)
  }
})

t.test('T1: over HTTP/2 no task starts while the client does not read its stream', async (t) => {
  const app = await createHttp2App(t)
  const sent = latch()
  const order: string[] = []
  app.get('/', (_, reply) => {
    reply.background.addTask(() => { order.push('task') })
    reply.send(BIG)
    sent.open()
  })
  const { port } = await listen(app)

  const session = await http2Client(t, port)
  const stream = get(session, '/')
  await sent
  await manyTurns()
  t.strictSame(app.background.stats(), counts({ accepted: 1, queued: 1 }))
  order.push('the client reads')
  stream.resume()
  await app.background.idle()

  t.strictSame(order, ['the client reads', 'task'])
})

t.test('T1: over HTTP/2 no task starts while the client does not read its connection', async (t) => {
  const app = await createHttp2App(t)
  const sent = latch()
  const order: string[] = []
  let socket!: Socket
  app.server.on('connection', (accepted: Socket) => { socket = accepted })
  app.get('/', (_, reply) => {
    reply.background.addTask(() => { order.push(socket.bytesWritten > BIG.length ? 'task' : 'task too early') })
    reply.send(BIG)
    sent.open()
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.pause()
  client.socket.write(unboundedRequests())
  await sent
  for (let written = -1; socket.bytesWritten > written; await manyTurns()) written = socket.bytesWritten
  t.ok(socket.bytesWritten < BIG.length, 'the connection is full')
  t.strictSame(app.background.stats(), counts({ accepted: 1, queued: 1 }))
  order.push('the client reads')
  client.socket.resume()
  await app.background.idle()

  t.strictSame(order, ['the client reads', 'task'])
  client.leave()
})

t.test('T2: tasks run when the stream is reset before the reply, added before and after', async (t) => {
  const app = await createHttp2App(t)
  const entered = latch()
  const left = latch()
  const answer = latch()
  const ran: string[] = []
  app.get('/', { background: () => { ran.push('route') } }, async (_, reply) => {
    closed(reply).then(left.open)
    reply.background.addTask(() => { ran.push('before') })
    entered.open()
    await answer
    reply.background.addTask(() => { ran.push('after') })
    return 'too late'
  })
  const { port } = await listen(app)

  const session = await http2Client(t, port)
  const stream = get(session, '/')
  await entered
  stream.close(NGHTTP2_CANCEL)
  await left
  await manyTurns()
  t.strictSame(app.background.stats(), counts({ accepted: 2, queued: 2 }), 'no outcome is known yet')
  answer.open()
  await app.background.idle()

  t.strictSame(ran, ['route', 'before', 'after'])
  t.strictSame(app.background.stats(), counts({ accepted: 3, completed: 3 }))
})

t.test('T2: a handler that throws after its stream was reset leads to its tasks, as an error', async (t) => {
  const app = await createHttp2App(t)
  const entered = latch()
  const ran: string[] = []
  app.get('/', { background: () => { ran.push('route') } }, async (_, reply) => {
    const left = closed(reply)
    reply.background.addTask(() => { ran.push('reply') })
    entered.open()
    await left
    throw new Error('x')
  })
  const { port } = await listen(app)

  const session = await http2Client(t, port)
  const stream = get(session, '/')
  await entered
  stream.close(NGHTTP2_CANCEL)
  await app.background.idle()

  t.strictSame(ran, ['reply'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 1, discarded: 1 }))
})

t.test('T2: a task runs when the first look at reply.background comes after the stream was reset', async (t) => {
  const app = await createHttp2App(t)
  const entered = latch()
  const added = latch()
  const ran: string[] = []
  app.get('/', async (_, reply) => {
    const left = closed(reply)
    entered.open()
    await left
    reply.background.addTask(() => { ran.push('after') })
    added.open()
    return 'too late'
  })
  const { port } = await listen(app)

  const session = await http2Client(t, port)
  const stream = get(session, '/')
  await entered
  stream.close(NGHTTP2_CANCEL)
  await added
  await app.background.idle()

  t.strictSame(ran, ['after'])
})

t.test('T2: tasks run when the whole connection is lost before the replies', async (t) => {
  const app = await createHttp2App(t)
  const all = latch()
  const ran: string[] = []
  let entered = 0
  app.get<{ Params: { n: string } }>('/:n', { background: (request) => { ran.push(`route ${request.params.n}`) } }, async (request, reply) => {
    const left = closed(reply)
    reply.background.addTask(() => { ran.push(`reply ${request.params.n}`) })
    if (++entered === 3) all.open()
    await left
    return 'too late'
  })
  const { port } = await listen(app)

  const session = await http2Client(t, port)
  for (const path of ['/1', '/2', '/3']) get(session, path)
  await all
  session.destroy()
  await app.background.idle()

  t.strictSame(ran.sort(), ['reply 1', 'reply 2', 'reply 3', 'route 1', 'route 2', 'route 3'])
  t.strictSame(app.background.stats(), counts({ accepted: 6, completed: 6 }))
})

t.test('T2: tasks run when the stream is reset in mid-stream', async (t) => {
  const app = await createHttp2App(t)
  const ran: string[] = []
  app.get('/', { background: () => { ran.push('route') } }, async (_, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    const body = new Readable({ read () {} })
    body.push('first')
    return reply.send(body)
  })
  const { port } = await listen(app)

  const session = await http2Client(t, port)
  const stream = get(session, '/')
  await once(stream, 'data')
  t.strictSame(ran, [])
  stream.close(NGHTTP2_CANCEL)
  await app.background.idle()

  t.strictSame(ran, ['route', 'reply'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 2 }))
})

t.test('T2: tasks run when a client that does not read resets its stream', async (t) => {
  const app = await createHttp2App(t)
  const sent = latch()
  const ran: string[] = []
  app.get('/', { background: () => { ran.push('route') } }, (_, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    reply.send(BIG)
    sent.open()
  })
  const { port } = await listen(app)

  const session = await http2Client(t, port)
  const stream = get(session, '/')
  await sent
  await manyTurns()
  t.strictSame(ran, [])
  stream.close(NGHTTP2_CANCEL)
  await app.background.idle()

  t.strictSame(ran, ['route', 'reply'])
})

t.test('T2: over HTTP/2, a stream that fails leads to its tasks, before its first byte and in the middle', async (t) => {
  const app = await createHttp2App(t)
  const body = new Readable({ read () {} })
  const ran: string[] = []
  app.get('/before', { background: () => { ran.push('route before') } }, async (_, reply) => {
    reply.background.addTask(() => { ran.push('reply before') })
    return reply.send(new Readable({ read () { this.destroy(new Error('x')) } }))
  })
  app.get('/middle', { background: () => { ran.push('route middle') } }, async (_, reply) => {
    reply.background.addTask(() => { ran.push('reply middle') })
    body.push('first')
    return reply.send(body)
  })
  const { port } = await listen(app)
  const session = await http2Client(t, port)

  t.match(await read(get(session, '/before')), { status: 500 })
  await app.background.idle()
  const stream = get(session, '/middle')
  await once(stream, 'data')
  body.destroy(new Error('x'))
  await app.background.idle()

  t.strictSame(ran, ['reply before', 'route middle', 'reply middle'])
  t.strictSame(app.background.stats(), counts({ accepted: 4, completed: 3, discarded: 1 }))
})

t.test('T2: over HTTP/2, a reply without an outcome settles after settleTimeout', async (t) => {
  const app = await createHttp2App(t, { settleTimeout: 20 })
  const entered = latch()
  const ran: string[] = []
  app.get('/', { background: () => { ran.push('route') } }, async (_, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    entered.open()
    await new Promise(() => {})
  })
  const { port } = await listen(app)

  const session = await http2Client(t, port)
  const stream = get(session, '/')
  await entered
  stream.close(NGHTTP2_CANCEL)
  await app.background.idle()

  t.strictSame(ran, ['reply'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 1, discarded: 1 }))
})

t.test('T3: over HTTP/2, tasks added after the reply run, whether they are the first or not', async (t) => {
  const app = await createHttp2App(t)
  const over = latch()
  let add: ((name: string) => background.TaskRun) | undefined
  const ran: string[] = []
  app.get('/', async (_, reply) => {
    closed(reply).then(over.open)
    add = (name) => reply.background.addTask(() => { ran.push(name) })
    return 'ok'
  })
  const { port } = await listen(app)

  const session = await http2Client(t, port)
  await read(get(session, '/'))
  await over
  await add!('first').finished()
  await add!('second').finished()

  t.strictSame(ran, ['first', 'second'])
})

t.test('T5: over HTTP/2, other requests of the session do not wait for a task', async (t) => {
  const app = await createHttp2App(t)
  const active = latch()
  const release = latch()
  app.get('/first', { background: () => { active.open(); return release } }, async () => 'first')
  app.get('/second', async () => 'second')
  const { port } = await listen(app)

  const session = await http2Client(t, port)
  await read(get(session, '/first'))
  await active
  t.match(await read(get(session, '/second')), { body: 'second' })
  t.strictSame(app.background.stats(), counts({ accepted: 1, active: 1 }))
  release.open()
  await app.background.idle()
})
