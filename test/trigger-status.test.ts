import t from 'tap'
import type { FastifyReply } from 'fastify'
import { createApp, listen } from './helpers/app'
import { counts } from './helpers/counts'
import { latch } from './helpers/latch'
import { closed } from './helpers/reply'
import { createStatusApp } from './helpers/status'
import { head, rawClient } from './helpers/tcp'

for (const status of [200, 201, 204, 299, 301, 302, 304, 399]) {
  t.test(`T4: ${status} is a success: the tasks of the route run`, async (t) => {
    const { app, ask } = await createStatusApp(t)

    t.strictSame(await ask(`/${status}`), ['route', 'reply'])
    t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 2 }))
  })
}

for (const status of [400, 401, 404, 418, 500, 503, 599]) {
  t.test(`T4: ${status} is an error: the tasks of the route are discarded, those added by a call run`, async (t) => {
    const { app, ask } = await createStatusApp(t)

    t.strictSame(await ask(`/${status}`), ['reply'])
    t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 1, discarded: 1 }))
  })
}

t.test('T4: a HEAD is judged as any other', async (t) => {
  const { ask } = await createStatusApp(t)

  t.strictSame(await ask('/200', 'HEAD'), ['route', 'reply'])
  t.strictSame(await ask('/500', 'HEAD'), ['reply'])
})

t.test('T4: a redirect by reply.redirect is a success', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  app.get('/', { background: () => { ran.push('route') } }, async (_, reply) => reply.redirect('/elsewhere'))
  const { url } = await listen(app)

  t.equal((await fetch(url, { redirect: 'manual' })).status, 302)
  await app.background.idle()

  t.strictSame(ran, ['route'])
})

t.test('T4: a request that fails validation is an error', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  app.addHook('onRequest', async (_, reply) => { reply.background.addTask(() => { ran.push('hook') }) })
  app.get('/', {
    schema: { querystring: { type: 'object', required: ['n'] } },
    background: () => { ran.push('route') }
  }, async () => 'ok')
  app.post('/', { background: () => { ran.push('route') } }, async () => 'ok')
  const { url } = await listen(app)

  t.equal((await fetch(url)).status, 400)
  await app.background.idle()
  t.equal((await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{' })).status, 400)
  await app.background.idle()
  t.equal((await fetch(url, { method: 'POST', headers: { 'content-type': 'image/png' }, body: '{' })).status, 415)
  await app.background.idle()

  t.strictSame(ran, ['hook', 'hook', 'hook'])
  t.strictSame(app.background.stats(), counts({ accepted: 6, completed: 3, discarded: 3 }))
})

t.test('T4: a route that calls callNotFound is an error; tasks added before and in the 404 handler run', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  app.setNotFoundHandler((_, reply) => {
    reply.background.addTask(() => { ran.push('404 handler') })
    reply.code(404).send('nothing here')
  })
  app.get('/', { background: () => { ran.push('route') } }, (_, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    reply.callNotFound()
  })
  const { url } = await listen(app)

  t.equal((await fetch(url)).status, 404)
  await app.background.idle()

  t.strictSame(ran, ['reply', '404 handler'])
  t.strictSame(app.background.stats(), counts({ accepted: 3, completed: 2, discarded: 1 }))
})

t.test('T4: where no route matches, tasks of hooks and of the 404 handler run', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  app.addHook('onRequest', async (_, reply) => { reply.background.addTask(() => { ran.push('hook') }) })
  app.register(async (child) => {
    child.setNotFoundHandler(async (_, reply) => {
      reply.background.addTask(() => { ran.push('404 handler') })
      return reply.code(404).send('nothing here')
    })
  }, { prefix: '/child' })
  const { url } = await listen(app)

  t.equal((await fetch(`${url}/x`)).status, 404)
  await app.background.idle()
  t.equal((await fetch(`${url}/child/x`)).status, 404)
  await app.background.idle()

  t.strictSame(ran, ['hook', 'hook', '404 handler'])
})

t.test('T2: tasks of a 404 handler run when the client leaves before the reply', async (t) => {
  const app = await createApp(t)
  const entered = latch()
  const ran: string[] = []
  app.setNotFoundHandler(async (_, reply) => {
    const left = closed(reply)
    reply.background.addTask(() => { ran.push('404 handler') })
    entered.open()
    await left
    return reply.code(404).send('too late')
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(head('GET', '/'))
  await entered
  client.leave()
  await app.background.idle()

  t.strictSame(ran, ['404 handler'])
})

t.test('T4: in a 404 handler, the status is the one that is sent', async (t) => {
  const app = await createApp(t, { when: 'error' })
  const ran: string[] = []
  app.setNotFoundHandler(async (request, reply) => {
    reply.background.addTask(() => { ran.push(request.url) })
    return reply.code(request.url === '/page' ? 200 : 404).send('the page')
  })
  const { url } = await listen(app)

  await fetch(`${url}/page`)
  await app.background.idle()
  await fetch(`${url}/nothing`)
  await app.background.idle()

  t.strictSame(ran, ['/nothing'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 1, discarded: 1 }))
})

t.test('T4: an onSend hook that changes the status decides', async (t) => {
  const app = await createApp(t)
  app.addHook('onSend', async (request, reply) => { reply.code(request.url === '/bad' ? 500 : 200) })
  const ran: string[] = []
  app.get('/bad', { background: () => { ran.push('bad') } }, async (_, reply) => reply.code(200).send('x'))
  app.get('/good', {
    onSend: async (_request, reply) => { reply.code(202) },
    background: () => { ran.push('good') }
  }, async (_, reply) => reply.code(500).send('x'))
  const { url } = await listen(app)

  t.equal((await fetch(`${url}/bad`)).status, 500)
  await app.background.idle()
  t.equal((await fetch(`${url}/good`)).status, 202)
  await app.background.idle()

  t.strictSame(ran, ['good'])
})

t.test("T4: an onSend hook that another plugin's onRoute adds behind this one decides", async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  app.addHook('onRoute', (route) => {
    route.onSend = [route.onSend ?? [], async (_request: unknown, reply: FastifyReply) => { reply.code(500) }].flat()
  })
  app.get('/', { background: () => { ran.push('route') } }, async () => 'ok')
  const { url } = await listen(app)

  t.equal((await fetch(url)).status, 500)
  await app.background.idle()
  t.equal((await fetch(url, { method: 'HEAD' })).status, 500)
  await app.background.idle()

  t.strictSame(ran, [])
  t.strictSame(app.background.stats(), counts({ accepted: 2, discarded: 2 }))
})

t.test('T4: an onSend hook behind the plugin that changes the status of a 404 decides', async (t) => {
  const app = await createApp(t, { when: 'error' })
  const ran: string[] = []
  app.addHook('onRequest', async (_, reply) => { reply.background.addTask(() => { ran.push('on error') }) })
  app.addHook('onSend', async (_request, reply) => { reply.code(200) })
  const { url } = await listen(app)

  t.equal((await fetch(url)).status, 200)
  await app.background.idle()

  t.strictSame(ran, [])
  t.strictSame(app.background.stats(), counts({ accepted: 1, discarded: 1 }))
})

t.test('T4: a status that is set after the reply was sent does not count', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  app.addHook('onResponse', async (_, reply) => { reply.raw.statusCode = 500 })
  app.get('/hook', { background: () => { ran.push('hook') } }, async () => 'ok')
  app.get('/handler', { background: () => { ran.push('handler') } }, (_, reply) => {
    reply.send('ok')
    reply.code(500)
  })
  const { url } = await listen(app)

  t.equal((await fetch(`${url}/hook`)).status, 200)
  await app.background.idle()
  t.equal((await fetch(`${url}/handler`)).status, 200)
  await app.background.idle()

  t.strictSame(ran, ['hook', 'handler'])
})
