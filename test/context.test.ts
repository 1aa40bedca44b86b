import { AsyncLocalStorage } from 'node:async_hooks'
import t from 'tap'
import type { FastifyServerOptions } from 'fastify'
import background from '../lib/index'
import { createApp, listen, memoryLogger, type Line } from './helpers/app'
import { latch, turn } from './helpers/latch'
import { serve } from './helpers/serve'
import { head, rawClient } from './helpers/tcp'

const { BackgroundTask, BackgroundTasks } = background
const store = new AsyncLocalStorage<string>()

t.test('R4: a task sees the store of the place that added it', async (t) => {
  const app = await createApp(t)
  const seen: Array<string | undefined> = []
  const look = (): void => { seen.push(store.getStore()) }
  await serve(app, async (reply) => {
    store.run('a', () => reply.background.addTask(look))
    store.run('b', () => reply.background.addTask(new BackgroundTask(look)))
    store.run('c', () => reply.background.addTasks([look, look]))
    store.run('d', () => reply.background.addTasks(new BackgroundTasks([look, look], { concurrency: 2 })))
    reply.background.addTask(look)
    await store.run('e', async () => {
      await turn()
      reply.background.addTask(look)
    })
  })
  await app.background.idle()

  t.strictSame(seen, ['a', 'b', 'c', 'c', 'd', 'd', undefined, 'e'])
})

t.test('R4: a task keeps its store over its awaits', async (t) => {
  const app = await createApp(t)
  const seen: Array<string | undefined> = []
  await serve(app, (reply) => {
    store.run('place', () => reply.background.addTask(async () => {
      seen.push(store.getStore())
      await turn()
      seen.push(store.getStore())
    }))
    store.run('another place', () => reply.background.addTask(() => { seen.push(store.getStore()) }))
  })
  await app.background.idle()

  t.strictSame(seen, ['place', 'place', 'another place'])
})

t.test('R4: a task outside a request sees the store of the place that added it', async (t) => {
  const app = await createApp(t)
  const seen: Array<string | undefined> = []
  const look = (): void => { seen.push(store.getStore()) }
  store.run('a', () => app.background.addTask(look))
  store.run('b', () => app.background.addTasks([look, new BackgroundTasks([look])]))
  app.background.addTask(look)
  await app.background.idle()

  t.strictSame(seen.sort(), ['a', 'b', 'b', undefined])
})

t.test('R4: a task that a task adds sees the store of that place', async (t) => {
  const app = await createApp(t)
  const seen: Array<string | undefined> = []
  const look = (): void => { seen.push(store.getStore()) }
  await serve(app, (reply) => {
    store.run('outer', () => reply.background.addTask(async () => {
      await turn()
      reply.background.addTask(look)
      store.run('inner', () => { reply.background.addTask(look) })
      store.run('inner, outside the reply', () => { app.background.addTask(look) })
    }))
  })
  await app.background.idle()

  t.strictSame(seen.sort(), ['inner', 'inner, outside the reply', 'outer'])
})

t.test('R4: a task of a route sees the store of onSend', async (t) => {
  const app = await createApp(t)
  const seen: Array<string | undefined> = []
  const look = (): void => { seen.push(store.getStore()) }
  app.addHook('onRequest', (request, reply, done) => store.run('onRequest', done))
  app.addHook('onSend', (request, reply, payload, done) => store.run('onSend', done))
  app.get('/', { background: [look, new BackgroundTask(look), new BackgroundTasks([look])] }, (request, reply) => {
    reply.background.addTask(look)
    store.run('handler', () => reply.send('ok'))
  })
  await app.inject('/')
  await app.background.idle()

  t.strictSame(seen, ['onSend', 'onSend', 'onSend', 'onRequest'])
})

t.test('R4: tasks see their stores when the client has left', async (t) => {
  const app = await createApp(t)
  const entered = latch()
  const left = latch()
  const seen: Array<string | undefined> = []
  const look = (): void => { seen.push(store.getStore()) }
  app.addHook('onSend', (request, reply, payload, done) => store.run('onSend', done))
  app.get('/', { background: look }, async (request, reply) => {
    reply.raw.on('close', () => left.open())
    store.run('before', () => reply.background.addTask(look))
    entered.open()
    await left
    store.run('after', () => reply.background.addTask(look))
    return 'too late'
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(head('GET', '/'))
  await entered
  client.leave()
  await left
  await app.background.idle()

  t.strictSame(seen, ['onSend', 'before', 'after'])
})

t.test('R4: stores of interleaved requests never mix', async (t) => {
  const app = await createApp(t)
  const names = Array.from({ length: 20 }, (_, i) => `request ${i}`)
  const seen = new Map<string, Array<string | undefined>>(names.map((name) => [name, []]))
  const allEntered = latch()
  let entered = 0
  async function look (name: string): Promise<void> {
    seen.get(name)!.push(store.getStore())
    await turn()
    seen.get(name)!.push(store.getStore())
  }
  app.addHook('onRequest', (request, reply, done) => store.run((request.query as { name: string }).name, done))
  app.get<{ Querystring: { name: string } }>('/', {
    background: (request) => look(request.query.name)
  }, async (request, reply) => {
    const { name } = request.query
    reply.background.addTask(look, name)
    if (++entered === names.length) allEntered.open()
    await allEntered
    reply.background.addTask(() => { reply.background.addTask(look, name) })
    return 'ok'
  })
  await Promise.all(names.map((name) => app.inject({ url: '/', query: { name } })))
  await app.background.idle()

  for (const name of names) t.strictSame(seen.get(name), new Array(6).fill(name))
})

t.test('R4: a store that a task enters is not seen by the next one of its call', async (t) => {
  const app = await createApp(t)
  const seen: Array<string | undefined> = []
  const lookAndEnter = (): void => {
    seen.push(store.getStore())
    store.enterWith('entered')
  }
  await serve(app, (reply) => {
    store.run('place', () => reply.background.addTasks([lookAndEnter, lookAndEnter]))
    store.run('group', () => reply.background.addTasks(new BackgroundTasks([lookAndEnter, lookAndEnter])))
  })
  await app.background.idle()
  store.run('outside', () => app.background.addTasks([lookAndEnter, lookAndEnter]))
  await app.background.idle()

  t.strictSame(seen, ['place', 'place', 'group', 'group', 'outside', 'outside'])
})

t.test('R4: a store that a task of a route enters is not seen by the next one', async (t) => {
  const app = await createApp(t)
  const seen: Array<string | undefined> = []
  const lookAndEnter = (): void => {
    seen.push(store.getStore())
    store.enterWith('entered')
  }
  app.addHook('onSend', (request, reply, payload, done) => store.run('onSend', done))
  app.get('/', { background: [lookAndEnter, lookAndEnter] }, async () => 'ok')
  await app.inject('/')
  await app.background.idle()

  t.strictSame(seen, ['onSend', 'onSend'])
})

for (const [how, fail] of [
  ['throws', () => { throw new Error('broken') }],
  ['rejects', async () => {
    await turn()
    throw new Error('broken')
  }]
] as const) {
  t.test(`R3: the log line and onTaskError of a task that ${how} have the task's stores`, async (t) => {
    const { server, lines } = loggerWithStore()
    const handled: Array<string | undefined> = []
    const app = await createApp(t, { onTaskError: () => { handled.push(store.getStore()) } }, server)
    app.addHook('onSend', (request, reply, payload, done) => store.run('onSend', done))
    app.get('/', { background: () => fail() }, async (request, reply) => {
      store.run('place', () => reply.background.addTask(fail))
      store.run('another place', () => reply.background.addTasks(new BackgroundTasks([fail, fail], { concurrency: 2 })))
      return 'ok'
    })
    await app.inject('/')
    await app.background.idle()
    store.run('outside', () => app.background.addTask(fail))
    await app.background.idle()

    const expected = ['onSend', 'place', 'another place', 'another place', 'outside']
    t.strictSame(handled, expected)
    t.strictSame(lines.map((line) => line.store), expected)
  })
}

t.test('R3: the log line and onTaskError of a condition that throws have the task\'s stores', async (t) => {
  const { server, lines } = loggerWithStore()
  const handled: Array<string | undefined> = []
  const app = await createApp(t, {
    when () { throw new Error('no condition') },
    onTaskError: () => { handled.push(store.getStore()) }
  }, server)
  await serve(app, (reply) => {
    store.run('a', () => reply.background.addTask(() => {}))
    store.run('b', () => reply.background.addTask(() => {}))
  })
  await app.background.idle()

  t.strictSame(handled, ['a', 'b'])
  t.strictSame(lines.map((line) => line.store), ['a', 'b'])
})

t.test('R3: the log line of a task whose client has left has the task\'s stores', async (t) => {
  const { server, lines } = loggerWithStore()
  const handled: Array<string | undefined> = []
  const app = await createApp(t, { onTaskError: () => { handled.push(store.getStore()) } }, server)
  const entered = latch()
  const left = latch()
  app.get('/', async (request, reply) => {
    reply.raw.on('close', () => left.open())
    store.run('place', () => reply.background.addTask(async () => { throw new Error('broken') }))
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

  t.strictSame(handled, ['place'])
  t.strictSame(lines.map((line) => line.store), ['place'])
})

/** Options of a server whose lines say which store they were written under. */
function loggerWithStore (): { server: FastifyServerOptions, lines: Line[] } {
  const { logger, lines } = memoryLogger('error')
  return { lines, server: { logger: { ...(logger as object), mixin: () => ({ store: store.getStore() }) } } }
}
