import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import replyFrom from '@fastify/reply-from'
import type { Test } from 'tap'
import { listen } from '../helpers/app'
import { beside } from '../helpers/beside'
import { counts } from '../helpers/counts'
import { latch } from '../helpers/latch'
import { head, rawClient } from '../helpers/tcp'

const test = beside('@fastify/reply-from', (app) => app.register(replyFrom))

test('T1: the tasks of a proxied reply start after its last byte, and run once', async (t, app) => {
  const ran: string[] = []
  const goOn = latch()
  const upstream = await serve(t, async (_request, response) => {
    response.write('first ')
    await goOn
    t.strictSame(ran, [])
    response.end('last')
  })
  app.get('/', { background: () => { ran.push('route') } }, (_request, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    return reply.from(upstream)
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(head('GET', '/'))
  await client.receives('first ')
  t.strictSame(app.background.stats(), counts({ accepted: 2, queued: 2 }))
  goOn.open()
  await client.receives('last')
  await app.background.idle()

  t.strictSame(ran, ['route', 'reply'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 2 }))
})

test('A1: tasks that onResponse and rewriteHeaders add run once, in the order of their calls', async (t, app) => {
  const ran: string[] = []
  const upstream = await serve(t, (_request, response) => { response.end('hello') })
  app.get('/', { background: () => { ran.push('route') } }, (_request, reply) => reply.from(upstream, {
    rewriteHeaders (headers) {
      reply.background.addTask(() => { ran.push('rewriteHeaders') })
      return headers
    },
    onResponse (_request, _reply, response) {
      reply.background.addTask(() => { ran.push('onResponse') })
      reply.send((response as unknown as { stream: NodeJS.ReadableStream }).stream)
    }
  }))
  const { url } = await listen(app)

  const response = await fetch(url)
  t.equal(await response.text(), 'hello')
  await app.background.idle()

  t.strictSame(ran, ['route', 'rewriteHeaders', 'onResponse'])
  t.strictSame(app.background.stats(), counts({ accepted: 3, completed: 3 }))
})

test('T4: the status of the upstream decides on a route\'s task', async (t, app) => {
  const ran: string[] = []
  const upstream = await serve(t, (_request, response) => { response.writeHead(502).end() })
  app.get('/', { background: () => { ran.push('route') } }, (_request, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    return reply.from(upstream)
  })
  const { url } = await listen(app)

  const response = await fetch(url)
  await response.text()
  await app.background.idle()

  t.equal(response.status, 502)
  t.strictSame(ran, ['reply'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 1, discarded: 1 }))
})

test('T4: an upstream that cannot be reached is an error', async (t, app) => {
  const ran: string[] = []
  app.get('/', { background: () => { ran.push('route') } }, (_request, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    return reply.from(nobody)
  })
  const nobody = await unusedAddress()
  const { url } = await listen(app)

  const response = await fetch(url)
  await response.text()
  await app.background.idle()

  t.equal(response.status, 500)
  t.strictSame(ran, ['reply'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 1, discarded: 1 }))
})

test('T2: the tasks run once when the upstream breaks off in mid-stream', async (t, app) => {
  const ran: string[] = []
  const goOn = latch()
  const upstream = await serve(t, async (_request, response) => {
    response.write('first ')
    await goOn
    response.destroy()
  })
  app.get('/', { background: () => { ran.push('route') } }, (_request, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    return reply.from(upstream)
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(head('GET', '/'))
  await client.receives('first ')
  const closed = once(client.socket, 'close')
  goOn.open()
  await closed
  await app.background.idle()

  t.strictSame(ran, ['route', 'reply'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 2 }))
})

test('T2: the tasks run once when the client leaves in mid-stream', async (t, app) => {
  const ran: string[] = []
  const upstream = await serve(t, (_request, response) => { response.write('first ') })
  app.get('/', { background: () => { ran.push('route') } }, (_request, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    return reply.from(upstream)
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(head('GET', '/'))
  await client.receives('first ')
  client.leave()
  await app.background.idle()

  t.strictSame(ran, ['route', 'reply'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 2 }))
})

// reply-from gives up without a reply where its client has left, so nothing but settleTimeout ends the wait.
test('T2: a client that leaves before the upstream has answered is an error after settleTimeout', async (t, app) => {
  const ran: string[] = []
  const asked = latch()
  const left = latch()
  const upstream = await serve(t, async (_request, response) => {
    asked.open()
    await left
    response.end('too late')
  })
  app.get('/', { background: () => { ran.push('route') } }, (request, reply) => {
    request.raw.once('close', () => left.open())
    reply.background.addTask(() => { ran.push('reply') })
    return reply.from(upstream)
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(head('GET', '/'))
  await asked
  client.leave()
  await app.background.idle()

  t.strictSame(ran, ['reply'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 1, discarded: 1 }))
}, { background: { settleTimeout: 1 } })

/** An upstream server. @returns its address. */
async function serve (t: Test, listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  t.teardown(() => { server.closeAllConnections(); server.close() })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

/** The address of a server that is gone. */
async function unusedAddress (): Promise<string> {
  const server = createServer()
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  await once(server.close(), 'close')
  return `http://127.0.0.1:${port}/`
}
