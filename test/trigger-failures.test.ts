import t from 'tap'
import { Readable } from 'node:stream'
import { abandon } from './helpers/abandon'
import { createApp, listen, memoryLogger } from './helpers/app'
import { counts } from './helpers/counts'
import { latch } from './helpers/latch'
import { closed, manyTurns } from './helpers/reply'
import { head, rawClient } from './helpers/tcp'

t.test('T2: a handler that throws leads to its tasks', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  app.get('/', { background: () => { ran.push('route') } }, async (_, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    throw new Error('x')
  })
  const { url } = await listen(app)

  t.equal((await fetch(url)).status, 500)
  await app.background.idle()

  t.strictSame(ran, ['reply'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 1, discarded: 1 }))
})

t.test('T2: a handler that throws after the client has left leads to its tasks, as an error', async (t) => {
  const { app, ran } = await abandon(t, {}, () => { throw new Error('x') })
  await app.background.idle()

  t.strictSame(ran, ['reply'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 1, discarded: 1 }))
})

t.test('T2: an error handler that throws leads to its tasks', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  app.setErrorHandler(async (_error, _request, reply) => {
    reply.background.addTask(() => { ran.push('error handler') })
    throw new Error('y')
  })
  app.get('/', async (_, reply) => {
    reply.background.addTask(() => { ran.push('handler') })
    throw new Error('x')
  })
  const { url } = await listen(app)

  t.equal((await fetch(url)).status, 500)
  await app.background.idle()

  t.strictSame(ran, ['handler', 'error handler'])
})

t.test('T2: a payload that cannot be serialized leads to its tasks, as an error', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  app.get('/', { background: () => { ran.push('route') } }, async (_, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    return { toJSON () { throw new Error('x') } }
  })
  const { url } = await listen(app)

  t.equal((await fetch(url)).status, 500)
  await app.background.idle()

  t.strictSame(ran, ['reply'])
})

t.test('T2: a stream that fails in mid-stream leads to its tasks, once', async (t) => {
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
  body.destroy(new Error('x'))
  await app.background.idle()

  t.strictSame(ran, ['route', 'reply'], 'the status was a success')
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 2 }))
})

t.test('T2: a web stream that fails in mid-stream leads to its tasks, once', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  const started = latch<ReadableStreamDefaultController<string>>()
  app.get('/', { background: () => { ran.push('route') } }, async (_, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    return reply.send(new ReadableStream<string>({ start: started.open }))
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(head('GET', '/'))
  const body = await started
  body.enqueue('first')
  await client.receives('first')
  body.error(new Error('x'))
  await app.background.idle()

  t.strictSame(ran, ['route', 'reply'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 2 }))
})

t.test('T2: a connection that the application destroys leads to its tasks', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  app.get<{ Params: { what: string } }>('/:what', async (request, reply) => {
    const { what } = request.params
    reply.background.addTask(() => { ran.push(what) })
    if (what === 'response') reply.raw.destroy()
    else request.raw.socket.destroy()
    return 'too late'
  })
  const { url } = await listen(app)

  await t.rejects(fetch(`${url}/response`))
  await app.background.idle()
  await t.rejects(fetch(`${url}/socket`))
  await app.background.idle()

  t.strictSame(ran, ['response', 'socket'])
})

t.test('T2: connectionTimeout leads to the tasks of the reply that it cuts off', async (t) => {
  const app = await createApp(t, {}, { connectionTimeout: 60_000 })
  const ran: string[] = []
  app.addHook('onTimeout', async (_, reply) => { reply.background.addTask(() => { ran.push('onTimeout') }) })
  app.get('/', async (request, reply) => {
    reply.background.addTask(() => { ran.push('before') })
    // A short one for all of the connection could be over before the request has arrived.
    request.raw.socket.setTimeout(1)
    await closed(reply)
    reply.background.addTask(() => { ran.push('after') })
    return 'too late'
  })
  const { url } = await listen(app)

  await t.rejects(fetch(url))
  await app.background.idle()

  t.strictSame(ran, ['before', 'onTimeout', 'after'])
})

t.test('T2: handlerTimeout leads to the tasks of the reply that it gives, and those that the handler adds later', async (t) => {
  const app = await createApp(t)
  const release = latch()
  const finished = latch()
  const ran: string[] = []
  app.get('/', { handlerTimeout: 20, background: () => { ran.push('route') } }, async (_, reply) => {
    reply.background.addTask(() => { ran.push('before') })
    await release
    reply.background.addTask(() => { ran.push('after') })
    finished.open()
    return 'too late'
  })
  const { url } = await listen(app)

  t.equal((await fetch(url)).status, 503)
  await app.background.idle()
  t.strictSame(ran, ['before'])
  release.open()
  await finished
  await app.background.idle()

  t.strictSame(ran, ['before', 'after'])
  t.strictSame(app.background.stats(), counts({ accepted: 3, completed: 2, discarded: 1 }))
})

t.test('T2: handlerTimeout in mid-stream leads to the tasks', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  app.get('/', { handlerTimeout: 20, background: () => { ran.push('route') } }, async (_, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    const body = new Readable({ read () {} })
    body.push('first')
    return reply.send(body)
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(head('GET', '/'))
  await client.receives('first')
  await app.background.idle()

  t.strictSame(ran, ['route', 'reply'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 2 }))
})

t.test('T2: handlerTimeout does not stand in the way when the client has left', async (t) => {
  const app = await createApp(t)
  const entered = latch()
  const ran: string[] = []
  app.get('/', { handlerTimeout: 60_000 }, async (_, reply) => {
    const left = closed(reply)
    reply.background.addTask(() => { ran.push('reply') })
    entered.open()
    await left
    return 'too late'
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(head('GET', '/'))
  await entered
  client.leave()
  await app.background.idle()

  t.strictSame(ran, ['reply'])
})

t.test('T2: a hijacked reply starts its tasks at its end, by the status that was written', async (t) => {
  const app = await createApp(t)
  const release = latch()
  const ran: string[] = []
  app.get<{ Params: { status: number } }>('/:status', {
    background: (request) => { ran.push(`route ${request.params.status}`) }
  }, async (request, reply) => {
    const { status } = request.params
    reply.background.addTask(() => { ran.push(`reply ${status}`) })
    reply.hijack()
    reply.raw.writeHead(status)
    reply.raw.write('first')
    await release
    reply.raw.end()
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(head('GET', '/200'))
  await client.receives('first')
  await manyTurns()
  t.strictSame(ran, [], 'it is still under way')
  release.open()
  await app.background.idle()
  t.strictSame(ran, ['route 200', 'reply 200'])

  client.socket.write(head('GET', '/500'))
  await client.receives('500')
  await app.background.idle()

  t.strictSame(ran, ['route 200', 'reply 200', 'reply 500'])
  client.leave()
})

t.test('T2: a hijacked reply starts its tasks when its client leaves before anything was written', async (t) => {
  const app = await createApp(t)
  const entered = latch()
  const ran: string[] = []
  app.get('/', async (_, reply) => {
    reply.background.addTask(() => { ran.push('before') })
    reply.hijack()
    reply.background.addTask(() => { ran.push('after') })
    entered.open()
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(head('GET', '/'))
  await entered
  client.leave()
  await app.background.idle()

  t.strictSame(ran, ['before', 'after'])
})

t.test('T2: a reply that the handler writes past Fastify starts its tasks at its end', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  app.get('/', { background: () => { ran.push('route') } }, (_, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    reply.raw.end('raw')
  })
  const { url } = await listen(app)

  t.equal(await (await fetch(url)).text(), 'raw')
  await app.background.idle()

  t.strictSame(ran, ['route', 'reply'])
})

t.test('T2: a reply that is sent twice starts its tasks once', async (t) => {
  const { logger, lines } = memoryLogger('warn')
  const app = await createApp(t, {}, { logger })
  const ran: string[] = []
  app.get('/', (_, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    reply.send('first')
    reply.send('second')
  })
  const { url } = await listen(app)

  t.equal(await (await fetch(url)).text(), 'first')
  await app.background.idle()
  await manyTurns()

  t.strictSame(ran, ['reply'])
  t.equal(lines.length, 1, 'Fastify complains')
})
