import { once } from 'node:events'
import { PassThrough, Readable } from 'node:stream'
import compress from '@fastify/compress'
import type { FastifyInstance } from 'fastify'
import { listen } from '../helpers/app'
import { beside } from '../helpers/beside'
import { counts } from '../helpers/counts'
import { latch } from '../helpers/latch'
import { head, rawClient } from '../helpers/tcp'

const register = (app: FastifyInstance) => app.register(compress, {
  threshold: 0,
  // Each chunk goes out at once, so that a client can tell that the stream has begun.
  zlibOptions: { flush: 2 },
  onUnsupportedEncoding (encoding, _request, reply) {
    reply.code(406)
    return `no ${encoding}`
  }
})
const test = beside('@fastify/compress', register)
const GZIP = { 'accept-encoding': 'gzip' }
// The compressor looks at ten bytes before it passes the first on.
const FIRST = 'x'.repeat(10)

test('T1: the tasks of a compressed string run once, after the reply', async (t, app) => {
  const ran: string[] = []
  app.get('/', { background: () => { ran.push('route') } }, async (_request, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    return 'hello'
  })
  const { url } = await listen(app)

  const response = await fetch(url, { headers: GZIP })
  t.equal(response.headers.get('content-encoding'), 'gzip')
  t.equal(await response.text(), 'hello')
  await app.background.idle()

  t.strictSame(ran, ['route', 'reply'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 2 }))
})

test('T1: no task starts while a compressed stream is open, and each runs once at its end', async (t, app) => {
  const ran: string[] = []
  const source = new PassThrough()
  app.get('/', { background: () => { ran.push('route') } }, async (_request, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    return reply.type('text/plain').send(source)
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(head('GET', '/', GZIP))
  source.write(FIRST)
  await client.receives('\r\n\r\n')
  t.match(client.received(), 'content-encoding: gzip')
  t.strictSame(app.background.stats(), counts({ accepted: 2, queued: 2 }))
  t.strictSame(ran, [])
  source.end('last')
  await client.receives('\r\n0\r\n\r\n')
  await app.background.idle()

  t.strictSame(ran, ['route', 'reply'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 2 }))
})

test('T2: the tasks run once when the client leaves in the middle of a compressed stream', async (t, app) => {
  const ran: string[] = []
  const source = new PassThrough()
  app.get('/', { background: () => { ran.push('route') } }, async (_request, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    return reply.type('text/plain').send(source)
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(head('GET', '/', GZIP))
  source.write(FIRST)
  await client.receives('\r\n\r\n')
  client.leave()
  await app.background.idle()

  t.strictSame(ran, ['route', 'reply'])
  t.ok(source.destroyed)
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 2 }))
})

test('T2: the tasks run once when a compressed stream fails in the middle', async (t, app) => {
  const ran: string[] = []
  const goOn = latch()
  const source = Readable.from((async function * () {
    yield FIRST
    await goOn
    throw new Error('no more')
  })())
  app.get('/', { background: () => { ran.push('route') } }, async (_request, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    return reply.type('text/plain').send(source)
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(head('GET', '/', GZIP))
  await client.receives('\r\n\r\n')
  const closed = once(client.socket, 'close')
  goOn.open()
  await closed
  await app.background.idle()

  t.strictSame(ran, ['route', 'reply'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 2 }))
})

test('T4: the status that @fastify/compress sets for an encoding that it lacks decides', async (t, app) => {
  const ran: string[] = []
  app.get('/', { background: () => { ran.push('route') } }, async (_request, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    return 'hello'
  })
  const { url } = await listen(app)

  const response = await fetch(url, { headers: { 'accept-encoding': 'abacus' } })
  t.equal(await response.text(), 'no abacus')
  await app.background.idle()

  t.equal(response.status, 406)
  t.strictSame(ran, ['reply'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 1, discarded: 1 }))
})
