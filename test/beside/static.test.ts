import { once } from 'node:events'
import fastifyStatic from '@fastify/static'
import t from 'tap'
import { listen } from '../helpers/app'
import { beside } from '../helpers/beside'
import { counts } from '../helpers/counts'
import { head, rawClient } from '../helpers/tcp'

// Far more than a connection's buffers hold.
const LARGE = 64 * 1024 * 1024
const root = t.testdir({ 'page.html': '<p>hello</p>', large: 'x'.repeat(LARGE) })
const test = beside('@fastify/static', (app) => app.register(fastifyStatic, { root, prefix: '/files/' }))

test('T1: the tasks of a reply that sends a file run once, after it', async (t, app) => {
  const ran: string[] = []
  app.get('/', { background: () => { ran.push('route') } }, (_request, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    return reply.sendFile('page.html')
  })
  const { url } = await listen(app)

  const response = await fetch(url)
  t.equal(await response.text(), '<p>hello</p>')
  await app.background.idle()

  t.strictSame(ran, ['route', 'reply'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 2 }))
})

test('T1: the tasks of a reply that sends a large file wait for a client that does not read', async (t, app) => {
  const ran: string[] = []
  app.get('/', { background: () => { ran.push('route') } }, (_request, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    return reply.sendFile('large')
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(head('GET', '/', { connection: 'close' }))
  await client.receives('200 OK')
  client.socket.pause()
  t.strictSame(app.background.stats(), counts({ accepted: 2, queued: 2 }))
  t.strictSame(ran, [])
  client.socket.removeAllListeners('data').resume()
  await once(client.socket, 'close')
  await app.background.idle()

  t.strictSame(ran, ['route', 'reply'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 2 }))
})

test('T2: the tasks run once when the client leaves in the middle of a file', async (t, app) => {
  const ran: string[] = []
  app.get('/', { background: () => { ran.push('route') } }, (_request, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    return reply.sendFile('large')
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(head('GET', '/'))
  await client.receives('200 OK')
  client.leave()
  await app.background.idle()

  t.strictSame(ran, ['route', 'reply'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 2 }))
})

test('T4: a file that is not there is an error, one that has not changed a success', async (t, app) => {
  const ran: string[] = []
  app.get<{ Params: { name: string } }>('/:name', {
    background: (request) => { ran.push(request.params.name) }
  }, (request, reply) => reply.sendFile(request.params.name))
  const { url } = await listen(app)

  const missing = await fetch(`${url}/missing`)
  await missing.text()
  await app.background.idle()
  t.equal(missing.status, 404)
  t.strictSame(ran, [])
  t.strictSame(app.background.stats(), counts({ accepted: 1, discarded: 1 }))

  const page = await fetch(`${url}/page.html`)
  await page.text()
  const headers = { 'if-none-match': page.headers.get('etag')!, 'cache-control': 'max-age=0' }
  const unchanged = await fetch(`${url}/page.html`, { headers })
  await unchanged.text()
  await app.background.idle()

  t.equal(unchanged.status, 304)
  t.strictSame(ran, ['page.html', 'page.html'])
  t.strictSame(app.background.stats(), counts({ accepted: 3, completed: 2, discarded: 1 }))
})

test('T1: a task that a hook adds on the plugin\'s own route runs once, after the file', async (t, app) => {
  const ran: string[] = []
  app.addHook('onRequest', async (request, reply) => {
    reply.background.addTask((url: string) => { ran.push(url) }, request.url)
  })
  const { url } = await listen(app)

  const response = await fetch(`${url}/files/page.html`)
  t.equal(await response.text(), '<p>hello</p>')
  await app.background.idle()

  t.strictSame(ran, ['/files/page.html'])
  t.strictSame(app.background.stats(), counts({ accepted: 1, completed: 1 }))
})
