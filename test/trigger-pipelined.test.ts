import t, { type Test } from 'tap'
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { createApp, listen } from './helpers/app'
import { counts } from './helpers/counts'
import { latch, until, type Latch } from './helpers/latch'
import { manyTurns } from './helpers/reply'
import { head, rawClient, type RawClient } from './helpers/tcp'

interface Pipeline {
  app: FastifyInstance
  client: RawClient
  /** What ran, in order. */
  ran: string[]
  /** Lets the handler of a request answer. */
  answers: Record<string, Latch>
  /** Opened when the handler of a request has answered. */
  answered: Record<string, Latch>
  /** Opened when the server has seen the connection close. */
  lost: Latch
}

/**
 * Sends one request for each path at once, on one connection, and waits until all of them are in their handlers: all
 * replies but the first wait for their turn, without a socket. Each has a task on the route and one on the reply, which
 * is added before the handler waits, or after it if the path says so.
 */
async function pipeline (t: Test, ...paths: string[]): Promise<Pipeline> {
  const app = await createApp(t)
  const ran: string[] = []
  const all = latch()
  const lost = latch()
  const answers: Record<string, Latch> = Object.fromEntries(paths.map((path) => [path, latch()]))
  const answered: Record<string, Latch> = Object.fromEntries(paths.map((path) => [path, latch()]))
  let entered = 0
  for (const path of paths) {
    app.get(path, { background: () => { ran.push(`route ${path}`) } }, async (request, reply) => {
      const add = (): void => { reply.background.addTask(() => { ran.push(`reply ${path}`) }) }
      if (entered === 0) request.raw.socket.once('close', () => lost.open())
      t.equal(reply.raw.socket === null, entered > 0, `${path} waits for its turn`)
      if (!path.startsWith('/late')) add()
      if (++entered === paths.length) all.open()
      await answers[path]
      if (path.startsWith('/late')) add()
      // The reply has been sent, or put by, when those who wait for this go on.
      setImmediate(answered[path].open)
      return `answer to ${path}`
    })
  }
  const { port } = await listen(app)
  const client = await rawClient(port)
  client.socket.write(paths.map((path) => head('GET', path)).join(''))
  await all
  return { app, client, ran, answers, answered, lost }
}

t.test('T1: a pipelined reply that is done waits for its turn, and its tasks with it', async (t) => {
  const { app, client, ran, answers, answered } = await pipeline(t, '/1', '/2')
  answers['/2'].open()
  await answered['/2']
  await manyTurns()
  t.equal(client.received(), '')
  t.strictSame(app.background.stats(), counts({ accepted: 4, queued: 4 }))
  answers['/1'].open()
  await client.receives('answer to /2')
  await app.background.idle()

  t.strictSame(ran.filter((name) => name.endsWith('1')), ['route /1', 'reply /1'])
  t.strictSame(ran.filter((name) => name.endsWith('2')), ['route /2', 'reply /2'])
  client.leave()
})

t.test('T1: a pipelined reply whose turn comes before it is done starts its tasks at its own end', async (t) => {
  const { app, client, ran, answers } = await pipeline(t, '/1', '/2')
  answers['/1'].open()
  await client.receives('answer to /1')
  await until(() => ran.length === 2)
  await manyTurns()
  t.strictSame(ran, ['route /1', 'reply /1'])
  answers['/2'].open()
  await app.background.idle()

  t.strictSame(ran, ['route /1', 'reply /1', 'route /2', 'reply /2'])
  client.leave()
})

t.test('T5: a pipelined reply does not wait for the tasks of the one before it', async (t) => {
  const app = await createApp(t)
  const release = latch()
  app.get('/1', { background: () => release }, async () => 'answer to /1')
  app.get('/2', async () => 'answer to /2')
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(head('GET', '/1') + head('GET', '/2'))
  await client.receives('answer to /2')
  t.match(app.background.stats(), { accepted: 1, completed: 0 })
  release.open()
  await app.background.idle()
  client.leave()
})

t.test('T2: the connection is lost while all replies are in their handlers', async (t) => {
  const { app, client, ran, answers, lost } = await pipeline(t, '/1', '/2', '/late3')
  client.leave()
  await lost
  await manyTurns()
  t.strictSame(ran, [], 'no outcome is known yet')
  for (const path of ['/1', '/2', '/late3']) answers[path].open()
  await app.background.idle()

  t.strictSame(ran.sort(), ['reply /1', 'reply /2', 'reply /late3', 'route /1', 'route /2', 'route /late3'])
  t.strictSame(app.background.stats(), counts({ accepted: 6, completed: 6 }))
})

t.test('T2: the connection is lost while a reply that is done waits for its turn', async (t) => {
  const { app, client, ran, answers, answered } = await pipeline(t, '/1', '/2')
  answers['/2'].open()
  await answered['/2']
  client.leave()
  await until(() => ran.length === 2)
  t.strictSame(ran, ['route /2', 'reply /2'], 'though the first is still in its handler')
  answers['/1'].open()
  await app.background.idle()

  t.strictSame(ran, ['route /2', 'reply /2', 'route /1', 'reply /1'])
  t.strictSame(app.background.stats(), counts({ accepted: 4, completed: 4 }))
})

t.test('T2: the connection is lost after a reply had its turn, and before it is done', async (t) => {
  const { app, client, ran, answers, lost } = await pipeline(t, '/1', '/2', '/3')
  answers['/1'].open()
  await client.receives('answer to /1')
  client.leave()
  await lost
  answers['/3'].open()
  answers['/2'].open()
  await app.background.idle()

  t.strictSame(ran.sort(), ['reply /1', 'reply /2', 'reply /3', 'route /1', 'route /2', 'route /3'])
  t.strictSame(app.background.stats(), counts({ accepted: 6, completed: 6 }))
})

t.test('T2: a pipelined reply is looked at for the first time when the connection has been lost', async (t) => {
  const app = await createApp(t)
  const entered = latch<Socket>()
  const lost = latch()
  const added = latch()
  const ran: string[] = []
  app.get('/1', async () => { await lost })
  app.get('/2', async (request, reply) => {
    request.raw.socket.once('close', () => lost.open())
    entered.open(request.raw.socket)
    await lost
    reply.background.addTask(() => { ran.push('late') })
    added.open()
    return 'too late'
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(head('GET', '/1') + head('GET', '/2'))
  await entered
  client.leave()
  await added
  await app.background.idle()

  t.strictSame(ran, ['late'])
})

t.test('T2: a pipelined reply whose connection is lost settles after settleTimeout, if its handler never answers', async (t) => {
  const app = await createApp(t, { settleTimeout: 20 })
  const entered = latch()
  const ran: string[] = []
  const never = new Promise(() => {})
  app.get('/1', async () => never)
  app.get('/2', { background: () => { ran.push('route') } }, async (_, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    entered.open()
    await never
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(head('GET', '/1') + head('GET', '/2'))
  await entered
  client.leave()
  await app.background.idle()

  t.strictSame(ran, ['reply'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 1, discarded: 1 }))
})

t.test('T2: however many pipelined replies wait, their socket gets one listener', async (t) => {
  const app = await createApp(t)
  const all = latch()
  const release = latch()
  const listeners: number[] = []
  app.get('/', async (request, reply) => {
    const { socket } = request.raw
    if (reply.raw.socket === null) {
      const before = socket.listenerCount('close')
      reply.background.addTask(() => {})
      listeners.push(socket.listenerCount('close') - before)
    }
    if (listeners.length === 15) all.open()
    await release
    return 'ok'
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(head('GET', '/').repeat(16))
  await all
  release.open()
  await app.background.idle()

  t.strictSame(listeners, [1, ...new Array(14).fill(0)])
  t.strictSame(app.background.stats(), counts({ accepted: 15, completed: 15 }))
  client.leave()
})
