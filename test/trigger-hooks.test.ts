import t from 'tap'
import Fastify, { type FastifyInstance } from 'fastify'
import background from '../lib/index'
import { abandon } from './helpers/abandon'
import { createApp, listen, memoryLogger } from './helpers/app'
import { counts } from './helpers/counts'
import { latch, until } from './helpers/latch'
import { closed } from './helpers/reply'
import { head, rawClient } from './helpers/tcp'

const FAILING_ON_RESPONSE: Record<string, (app: FastifyInstance) => void> = {
  throws: (app) => { app.addHook('onResponse', () => { throw new Error('x') }) },
  rejects: (app) => { app.addHook('onResponse', async () => { throw new Error('x') }) },
  'fails by its callback': (app) => { app.addHook('onResponse', (_request, _reply, done) => done(new Error('x'))) },
  'never calls back': (app) => { app.addHook('onResponse', (_request, _reply, _done) => {}) }
}

for (const [fails, addHook] of Object.entries(FAILING_ON_RESPONSE)) {
  for (const order of ['before', 'after'] as const) {
    t.test(`T2: tasks run beside an onResponse hook that ${fails}, added ${order} the plugin`, async (t) => {
      const app = Fastify()
      t.teardown(() => app.close())
      if (order === 'before') addHook(app)
      await app.register(background)
      if (order === 'after') addHook(app)
      const ran: string[] = []
      app.get('/', { background: () => { ran.push('route') } }, async (_, reply) => {
        reply.background.addTask(() => { ran.push('reply') })
        return 'ok'
      })
      const { url } = await listen(app)

      t.equal(await (await fetch(url)).text(), 'ok')
      await app.background.idle()

      t.strictSame(ran, ['route', 'reply'])
      t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 2 }))
    })
  }
}

for (const order of ['before', 'after'] as const) {
  t.test(`T2: an onSend hook that always throws, added ${order} the plugin, leads to the tasks, as an error`, async (t) => {
    const app = Fastify()
    t.teardown(() => app.close())
    const addHook = (): void => { app.addHook('onSend', async () => { throw new Error('x') }) }
    if (order === 'before') addHook()
    await app.register(background)
    if (order === 'after') addHook()
    const ran: string[] = []
    app.get('/', { background: () => { ran.push('route') } }, async (_, reply) => {
      reply.background.addTask(() => { ran.push('reply') })
      return 'ok'
    })
    const { url } = await listen(app)

    t.equal((await fetch(url)).status, 500)
    await app.background.idle()

    t.strictSame(ran, ['reply'])
    t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 1, discarded: 1 }))
  })
}

t.test('T2: an onSend hook that throws the first time only leads to the tasks, once, by the status of the second', async (t) => {
  const app = await createApp(t)
  let calls = 0
  app.addHook('onSend', async () => { if (calls++ === 0) throw new Error('x') })
  const ran: string[] = []
  app.get('/', { background: () => { ran.push('route') } }, async (_, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    return 'ok'
  })
  const { url } = await listen(app)

  t.equal((await fetch(url)).status, 500)
  await app.background.idle()

  t.equal(calls, 2)
  t.strictSame(ran, ['reply'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 1, discarded: 1 }))
})

t.test("T2: a route's own onSend hook that throws leads to the tasks, as an error", async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  app.get('/', {
    onSend: async () => { throw new Error('x') },
    background: () => { ran.push('route') }
  }, async (_, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    return 'ok'
  })
  const { url } = await listen(app)

  t.equal((await fetch(url)).status, 500)
  await app.background.idle()

  t.strictSame(ran, ['reply'])
})

t.test('T2: an onSend hook that throws once after the client has left leads to the tasks', async (t) => {
  let calls = 0
  const { app, ran } = await abandon(t, {}, () => 'too late', (app) => {
    app.addHook('onSend', async () => { if (calls++ === 0) throw new Error('x') })
  })
  await app.background.idle()

  t.equal(calls, 2)
  t.strictSame(ran, ['reply'])
})

t.test('T2: an onSend hook that waits for the client to leave leads to the tasks', async (t) => {
  const app = await createApp(t)
  const entered = latch()
  app.addHook('onSend', async (_request, reply) => {
    const left = closed(reply)
    entered.open()
    await left
  })
  const ran: string[] = []
  app.get('/', { background: () => { ran.push('route') } }, async () => 'too late')
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(head('GET', '/'))
  await entered
  client.leave()
  await app.background.idle()

  t.strictSame(ran, ['route'])
})

// What an earlier hook does instead of letting the request through, and the status of its reply.
const EARLIER: Record<string, [status: number, addHook: (app: FastifyInstance) => void]> = {
  replies: [401, (app) => { app.addHook('onRequest', async (_, reply) => reply.code(401).send('who are you?')) }],
  'replies by callback': [401, (app) => { app.addHook('onRequest', (_, reply) => { reply.code(401).send('who are you?') }) }],
  throws: [500, (app) => { app.addHook('onRequest', async () => { throw new Error('x') }) }],
  'calls callNotFound': [404, (app) => { app.addHook('onRequest', (_, reply) => { reply.callNotFound() }) }]
}

for (const [does, [status, addHook]] of Object.entries(EARLIER)) {
  t.test(`A1: a hook before the route ${does}: the route's task is accepted, and discarded`, async (t) => {
    const app = await createApp(t)
    addHook(app)
    const ran: string[] = []
    app.get('/', { background: () => { ran.push('route') } }, async () => 'never')
    const { url } = await listen(app)

    t.equal((await fetch(url)).status, status)
    await app.background.idle()

    t.strictSame(ran, [])
    t.strictSame(app.background.stats(), counts({ accepted: 1, discarded: 1 }))
  })

  t.test(`A1: a hook before the route ${does}: the route's task runs where its condition says so`, async (t) => {
    const app = await createApp(t, { when: 'always' })
    addHook(app)
    const ran: string[] = []
    app.get('/', { background: () => { ran.push('route') } }, async () => 'never')
    const { url } = await listen(app)

    t.equal((await fetch(url)).status, status)
    await app.background.idle()

    t.strictSame(ran, ['route'])
    t.strictSame(app.background.stats(), counts({ accepted: 1, completed: 1 }))
  })
}

t.test("A1: a hook that replies and adds a task: the route's is still the first", async (t) => {
  const app = await createApp(t, { when: 'always' })
  const ran: string[] = []
  app.addHook('onSend', async (_request, reply) => { reply.background.addTask(() => { ran.push('onSend') }) })
  app.addHook('onRequest', async (_, reply) => {
    reply.background.addTask(() => { ran.push('onRequest') })
    return reply.code(401).send('who are you?')
  })
  app.get('/', { background: () => { ran.push('route') } }, async () => 'never')
  const { url } = await listen(app)

  t.equal((await fetch(url)).status, 401)
  await app.background.idle()

  t.strictSame(ran, ['route', 'onRequest', 'onSend'])
})

t.test('T5: other onResponse hooks and the "request completed" line do not wait for a task', async (t) => {
  const { logger, lines } = memoryLogger()
  const app = Fastify({ logger })
  t.teardown(() => app.close())
  const release = latch()
  const hooks = { before: latch(), after: latch() }
  app.addHook('onResponse', async () => { hooks.before.open() })
  await app.register(background)
  app.addHook('onResponse', async () => { hooks.after.open() })
  const active = latch()
  const completed = (): number => lines.filter((line) => line.msg === 'request completed').length
  app.get('/', { background: () => { active.open(); return release } }, async () => 'ok')
  const { url } = await listen(app)

  await (await fetch(url)).text()
  await Promise.all([hooks.before, hooks.after, active])
  await until(() => completed() > 0)

  t.equal(completed(), 1)
  t.strictSame(app.background.stats(), counts({ accepted: 1, active: 1 }))
  release.open()
  await app.background.idle()
})

t.test('T5: the next request on the same connection does not wait for a task', async (t) => {
  const app = await createApp(t)
  const release = latch()
  const active = latch()
  const ran: string[] = []
  app.get('/first', async (_, reply) => {
    reply.background.addTask(async () => {
      active.open()
      await release
      ran.push('first')
    })
    return 'reply 1'
  })
  app.get('/second', async (_, reply) => {
    reply.background.addTask(() => { ran.push('second') })
    return 'reply 2'
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(head('GET', '/first'))
  await client.receives('reply 1')
  await active
  client.socket.write(head('GET', '/second'))
  await client.receives('reply 2')
  await until(() => ran.length > 0)
  t.strictSame(ran, ['second'])
  release.open()
  await app.background.idle()

  t.strictSame(ran, ['second', 'first'])
  client.leave()
})
