import { once } from 'node:events'
import sse from '@fastify/sse'
import { listen } from '../helpers/app'
import { beside } from '../helpers/beside'
import { counts } from '../helpers/counts'
import { latch, until } from '../helpers/latch'
import { head, rawClient } from '../helpers/tcp'

const test = beside('@fastify/sse', (app) => app.register(sse))
const STREAM = head('GET', '/', { accept: 'text/event-stream' })

test('T1: no task starts while the event stream is open, and each runs once when the handler ends it', async (t, app) => {
  const ran: string[] = []
  const goOn = latch()
  app.get('/', { sse: 'only', background: () => { ran.push('route') } }, async (_request, reply) => {
    reply.background.addTask(() => { ran.push('before the first event') })
    await reply.sse.send({ data: 'first' })
    reply.background.addTask(() => { ran.push('between events') })
    await goOn
    t.strictSame(ran, [])
    await reply.sse.send({ data: 'last' })
    reply.background.addTask(() => { ran.push('after the last event') })
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(STREAM)
  await client.receives('data: "first"')
  t.strictSame(app.background.stats(), counts({ accepted: 3, queued: 3 }))
  goOn.open()
  await client.receives('0\r\n\r\n')
  await app.background.idle()

  t.match(client.received(), 'data: "last"')
  t.strictSame(ran, ['route', 'before the first event', 'between events', 'after the last event'])
  t.strictSame(app.background.stats(), counts({ accepted: 4, completed: 4 }))
})

test('T1: the tasks of a stream that is kept alive run when the client closes it', async (t, app) => {
  const ran: string[] = []
  app.get('/', { sse: 'only', background: () => { ran.push('route') } }, async (_request, reply) => {
    reply.sse.keepAlive()
    await reply.sse.send({ data: 'first' })
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(STREAM)
  await client.receives('data: "first"')
  t.strictSame(app.background.stats(), counts({ accepted: 1, queued: 1 }))
  client.socket.end()
  await app.background.idle()

  t.strictSame(ran, ['route'])
  t.strictSame(app.background.stats(), counts({ accepted: 1, completed: 1 }))
})

test('T2: the tasks run once when the client leaves in mid-stream, the handler still at work', async (t, app) => {
  const ran: string[] = []
  const finish = latch()
  const finished = latch()
  app.get('/', { sse: 'only', background: () => { ran.push('route') } }, async (_request, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    await reply.sse.send({ data: 'first' })
    await finish
    reply.background.addTask(() => { ran.push('too late for an event') })
    finished.open()
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(STREAM)
  await client.receives('data: "first"')
  client.leave()
  await app.background.idle()
  t.strictSame(ran, ['route', 'reply'])
  finish.open()
  await finished
  await app.background.idle()

  t.strictSame(ran, ['route', 'reply', 'too late for an event'])
  t.strictSame(app.background.stats(), counts({ accepted: 3, completed: 3 }))
})

test('T2: the tasks run once when the source of the events fails', async (t, app) => {
  const ran: string[] = []
  app.get('/', { sse: 'only', background: () => { ran.push('route') } }, async (_request, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    await reply.sse.send((async function * () {
      yield { data: 'first' }
      throw new Error('no more')
    })())
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(STREAM)
  await client.receives('0\r\n\r\n')
  await app.background.idle()

  t.match(client.received(), 'data: "first"')
  t.strictSame(ran, ['route', 'reply'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 2 }))
})

test('T4: a route\'s task is discarded where a client that refuses event streams gets a 406', async (t, app) => {
  const ran: string[] = []
  app.get('/', { sse: 'only', background: () => { ran.push('route') } }, async () => { ran.push('handler') })
  const { url } = await listen(app)

  const response = await fetch(url, { headers: { accept: 'application/json' } })
  await response.text()
  await app.background.idle()

  t.equal(response.status, 406)
  t.strictSame(ran, [])
  t.strictSame(app.background.stats(), counts({ accepted: 1, discarded: 1 }))
})

test('L1: close() does not wait for an open stream before the hooks that end it, and runs its task', async (t, app) => {
  const ran: string[] = []
  app.addHook('preClose', async () => { ran.push('preClose'); end.open() })
  const end = latch()
  app.get('/', { sse: 'only', background: async () => { ran.push('route') } }, async (_request, reply) => {
    await reply.sse.send({ data: 'first' })
    await end
    await reply.sse.send({ data: 'last' })
  })
  const { port } = await listen(app)
  const client = await rawClient(port)
  client.socket.write(STREAM)
  await client.receives('data: "first"')

  await app.close()
  await client.receives('data: "last"')

  t.strictSame(ran, ['preClose', 'route'])
  t.strictSame(app.background.stats(), counts({ accepted: 1, completed: 1 }))
})

test('L1: close() with an open stream resolves after its client has left and its task is done', async (t, app) => {
  const ran: string[] = []
  const goOn = latch()
  const closing = latch()
  app.addHook('preClose', async () => { closing.open() })
  app.get('/', {
    sse: 'only',
    background: async () => {
      ran.push('started')
      await goOn
      ran.push('finished')
    }
  }, async (_request, reply) => {
    reply.sse.keepAlive()
    await reply.sse.send({ data: 'first' })
  })
  const { port } = await listen(app)
  const client = await rawClient(port)
  client.socket.write(STREAM)
  await client.receives('data: "first"')

  const closed = app.close().then(() => { ran.push('closed') })
  await closing
  t.strictSame(app.background.stats(), counts({ accepted: 1, queued: 1 }))
  client.leave()
  await once(client.socket, 'close')
  await until(() => ran.length > 0)
  goOn.open()
  await closed

  t.strictSame(ran, ['started', 'finished', 'closed'])
  t.strictSame(app.background.stats(), counts({ accepted: 1, completed: 1 }))
})
