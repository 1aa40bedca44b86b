import t from 'tap'
import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import { createApp, listen } from './helpers/app'
import { counts } from './helpers/counts'
import { latch } from './helpers/latch'
import { closed, manyTurns } from './helpers/reply'
import { head, rawClient } from './helpers/tcp'

// More than a loopback connection holds when nobody reads.
const BIG = Buffer.alloc(32 * 1024 * 1024, 'x')

t.test('T1: no task starts before the last byte of its reply was handed to the operating system', async (t) => {
  const app = await createApp(t)
  const sent = latch<Socket>()
  const order: string[] = []
  app.get('/', { background: () => { order.push('route task') } }, (request, reply) => {
    const { socket } = request.raw
    reply.background.addTask(() => { order.push(`reply task, ${socket.writableLength} bytes to go`) })
    reply.send(BIG)
    sent.open(socket)
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.pause()
  client.socket.write(head('GET', '/'))
  const socket = await sent
  await manyTurns()
  t.ok(socket.writableLength > 0, 'the connection is full')
  t.strictSame(app.background.stats(), counts({ accepted: 2, queued: 2 }))
  order.push('the client reads')
  client.socket.resume()
  await app.background.idle()

  t.strictSame(order, ['the client reads', 'route task', 'reply task, 0 bytes to go'])
})

t.test('T1: a streamed reply is over with its last chunk, not with its headers', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  const body = new Readable({ read () {} })
  app.get('/', { background: () => { ran.push('route') } }, async (_, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    body.push('first')
    return reply.send(body)
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(head('GET', '/'))
  await client.receives('first')
  await manyTurns()
  t.strictSame(ran, [])
  body.push('second')
  await client.receives('second')
  await manyTurns()
  t.strictSame(ran, [])
  body.push(null)
  await app.background.idle()

  t.strictSame(ran, ['route', 'reply'])
})

t.test('T1: an error of the response starts nothing while bytes are pending', async (t) => {
  const app = await createApp(t)
  const failed = latch<Socket>()
  const responded = latch()
  const order: string[] = []
  app.addHook('onResponse', async () => { responded.open() })
  app.get('/', (request, reply) => {
    const { socket } = request.raw
    reply.background.addTask(() => { order.push(`task, ${socket.writableLength} bytes to go`) })
    reply.send(BIG)
    reply.raw.once('error', () => failed.open(socket))
    reply.raw.write('after the end')
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.pause()
  client.socket.write(head('GET', '/'))
  const socket = await failed
  await responded
  await manyTurns()
  t.ok(socket.writableLength > 0, 'the connection is full')
  t.strictSame(app.background.stats(), counts({ accepted: 1, queued: 1 }))
  order.push('the client reads')
  client.socket.resume()
  await app.background.idle()

  t.strictSame(order, ['the client reads', 'task, 0 bytes to go'])
})

t.test('T2: tasks run when the client leaves before the reply, added before and after', async (t) => {
  const app = await createApp(t)
  const entered = latch()
  const left = latch()
  const answer = latch()
  const ran: string[] = []
  app.get('/', { background: () => { ran.push('route') } }, async (_, reply) => {
    closed(reply).then(left.open)
    reply.background.addTask((name: string) => { ran.push(name) }, 'before')
    entered.open()
    await left
    await answer
    reply.background.addTask((name: string) => { ran.push(name) }, 'after')
    return 'too late'
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(head('GET', '/'))
  await entered
  client.leave()
  await left
  await manyTurns()
  t.strictSame(ran, [], 'the outcome is not known yet')
  answer.open()
  await app.background.idle()

  t.strictSame(ran, ['route', 'before', 'after'])
  t.strictSame(app.background.stats(), counts({ accepted: 3, completed: 3 }))
})

t.test('T2: a task runs when the first look at reply.background comes after the client has left', async (t) => {
  const app = await createApp(t)
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

  const client = await rawClient(port)
  client.socket.write(head('GET', '/'))
  await entered
  client.leave()
  await added
  await app.background.idle()

  t.strictSame(ran, ['after'])
  t.strictSame(app.background.stats(), counts({ accepted: 1, completed: 1 }))
})

t.test('T2: a task runs when the client ends the connection in peace before the reply', async (t) => {
  const app = await createApp(t)
  const entered = latch()
  const ran: string[] = []
  app.get('/', async (_, reply) => {
    const left = closed(reply)
    reply.background.addTask(() => { ran.push('before') })
    entered.open()
    await left
    return 'too late'
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(head('GET', '/'))
  await entered
  client.socket.end()
  await app.background.idle()

  t.strictSame(ran, ['before'])
})

t.test('T2: tasks run when the handler answers with a callback after the client has left', async (t) => {
  const app = await createApp(t)
  const entered = latch()
  const ran: string[] = []
  app.get('/', { background: () => { ran.push('route') } }, (_, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    closed(reply).then(() => { reply.code(201).send({ too: 'late' }) })
    entered.open()
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(head('GET', '/'))
  await entered
  client.leave()
  await app.background.idle()

  t.strictSame(ran, ['route', 'reply'])
})

t.test('T2: tasks run when the client leaves in mid-stream', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  app.get('/', { background: () => { ran.push('route') } }, async (_, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    const body = new Readable({ read () {} })
    body.push('first')
    return reply.send(body)
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(head('GET', '/'))
  await client.receives('first')
  client.leave()
  await app.background.idle()

  t.strictSame(ran, ['route', 'reply'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 2 }))
})

t.test('T2: tasks run when a client that does not read leaves', async (t) => {
  const app = await createApp(t)
  const sent = latch<Socket>()
  const ran: string[] = []
  app.get('/', { background: () => { ran.push('route') } }, (request, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    reply.send(BIG)
    sent.open(request.raw.socket)
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.pause()
  client.socket.write(head('GET', '/'))
  const socket = await sent
  await manyTurns()
  t.ok(socket.writableLength > 0, 'the connection is full')
  client.leave()
  await app.background.idle()

  t.strictSame(ran, ['route', 'reply'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 2 }))
})

t.test('T2: tasks reach their end when the client leaves while it sends its body', async (t) => {
  const app = await createApp(t)
  const entered = latch()
  const ran: string[] = []
  app.addHook('onRequest', async (_, reply) => {
    reply.background.addTask(() => { ran.push('hook') })
    entered.open()
  })
  app.post('/', { background: () => { ran.push('route') } }, async () => 'never')
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(head('POST', '/', { 'content-type': 'text/plain', 'content-length': '100' }) + 'ten bytes.')
  await entered
  client.leave()
  await app.background.idle()

  t.strictSame(ran, ['hook'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 1, discarded: 1 }))
})

t.test('T2: a task at work goes on when the client leaves after the reply, and those behind it start', async (t) => {
  const app = await createApp(t)
  const left = latch()
  const ran: string[] = []
  app.get('/', async (request, reply) => {
    request.raw.socket.once('close', () => left.open())
    reply.background.addTask(async () => {
      await left
      ran.push('first')
    })
    reply.background.addTask(() => { ran.push('second') })
    return 'ok'
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(head('GET', '/'))
  await client.receives('ok')
  client.leave()
  await app.background.idle()

  t.strictSame(ran, ['first', 'second'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 2 }))
})

t.test('T2: a reply that keeps its connection starts its tasks once, also when the connection is lost later', async (t) => {
  const app = await createApp(t)
  const lost = latch()
  const ran: string[] = []
  app.get('/', async (request, reply) => {
    request.raw.socket.once('close', () => lost.open())
    reply.background.addTask(() => { ran.push('task') })
    return 'ok'
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(head('GET', '/'))
  await client.receives('ok')
  await app.background.idle()
  t.strictSame(ran, ['task'])
  client.leave()
  await lost
  await manyTurns()

  t.strictSame(ran, ['task'])
  t.strictSame(app.background.stats(), counts({ accepted: 1, completed: 1 }))
})
