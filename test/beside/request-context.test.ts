import requestContext, { requestContext as store } from '@fastify/request-context'
import { getTaskContext } from '../../lib/context'
import { BackgroundTask, defineTask, type TaskContext } from '../../lib/index'
import { listen } from '../helpers/app'
import { beside } from '../helpers/beside'
import { counts } from '../helpers/counts'
import { latch, turn, until } from '../helpers/latch'
import { closed } from '../helpers/reply'
import { head, rawClient } from '../helpers/tcp'

declare module '@fastify/request-context' {
  interface RequestContextData { url: string, step: string }
}

const test = beside('@fastify/request-context', (app) => app.register(requestContext, {
  defaultStoreValues: (request) => ({ url: request.url, step: 'none' })
}))
const seen = () => `${store.get('url')} ${store.get('step')}`

test('R4: a task added in a handler sees the store of its request', async (t, app) => {
  const ran: string[] = []
  app.get('/one', async (_request, reply) => {
    store.set('step', 'handler')
    reply.background.addTask(async () => {
      ran.push(seen())
      await null
      ran.push(seen())
    })
    return 'hello'
  })
  const { url } = await listen(app)

  const response = await fetch(`${url}/one`)
  await response.text()
  await app.background.idle()

  t.strictSame(ran, ['/one handler', '/one handler'])
  t.strictSame(app.background.stats(), counts({ accepted: 1, completed: 1 }))
})

test('R4: a route\'s tasks see the store that the handler has written to', async (t, app) => {
  const ran: string[] = []
  app.get('/one', {
    background: [() => { ran.push(seen()) }, new BackgroundTask(async (word: string) => {
      await null
      ran.push(`${word} ${seen()}`)
    }, 'task')]
  }, async () => {
    store.set('step', 'handler')
    return 'hello'
  })
  const { url } = await listen(app)

  const response = await fetch(`${url}/one`)
  await response.text()
  await app.background.idle()

  t.strictSame(ran, ['/one handler', 'task /one handler'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 2 }))
})

test('R4: what a route\'s function returns, and what a task adds, see the store too', async (t, app) => {
  const ran: string[] = []
  app.get('/one', {
    background: (_request, reply) => {
      reply.background.addTask(() => { ran.push(`added ${seen()}`) })
      return new BackgroundTask(() => { ran.push(`returned ${seen()}`) })
    }
  }, async () => 'hello')
  const { url } = await listen(app)

  const response = await fetch(`${url}/one`)
  await response.text()
  await app.background.idle()

  t.strictSame(ran, ['added /one none', 'returned /one none'])
  t.strictSame(app.background.stats(), counts({ accepted: 3, completed: 3 }))
})

test('R4: a route\'s task sees the store when the client has left before the reply', async (t, app) => {
  const ran: string[] = []
  const entered = latch()
  app.get('/one', { background: () => { ran.push(seen()) } }, async (_request, reply) => {
    const left = closed(reply)
    entered.open()
    await left
    store.set('step', 'handler')
    return 'too late'
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(head('GET', '/one'))
  await entered
  client.leave()
  await app.background.idle()

  t.strictSame(ran, ['/one handler'])
  t.strictSame(app.background.stats(), counts({ accepted: 1, completed: 1 }))
})

test('A3: the tasks of interleaved requests each see their own store', async (t, app) => {
  const ran: string[] = []
  const handlers = { a: latch(), b: latch() }
  const tasks = { a: latch(), b: latch() }
  app.get<{ Params: { name: 'a' | 'b' } }>('/:name', {
    background: async (request) => {
      ran.push(`route ${seen()}`)
      await tasks[request.params.name]
      ran.push(`route again ${seen()}`)
    }
  }, async (request, reply) => {
    const { name } = request.params
    reply.background.addTask(() => { ran.push(`reply ${seen()}`) })
    await handlers[name]
    store.set('step', name)
    return name
  })
  const { url } = await listen(app)

  // The handlers end in the reverse order of the requests, the tasks crosswise.
  const a = fetch(`${url}/a`)
  await until(() => app.background.stats().accepted === 2)
  const b = fetch(`${url}/b`)
  await until(() => app.background.stats().accepted === 4)
  handlers.b.open()
  await (await b).text()
  await until(() => ran.length === 1)
  handlers.a.open()
  await (await a).text()
  await until(() => ran.length === 2)
  tasks.a.open()
  await until(() => ran.length === 4)
  tasks.b.open()
  await app.background.idle()

  t.strictSame(ran, [
    'route /b b', 'route /a a',
    'route again /a a', 'reply /a a',
    'route again /b b', 'reply /b b'
  ])
  t.strictSame(app.background.stats(), counts({ accepted: 4, completed: 4 }))
})

test('R4: a task outside a request sees no store, one that app.background takes in a handler sees the request\'s', async (t, app) => {
  const ran: string[] = []
  app.get('/one', async () => {
    app.background.addTask(() => { ran.push(seen()) })
    return 'hello'
  })
  const { url } = await listen(app)

  app.background.addTask(() => { ran.push(String(store.getStore())) })
  await app.background.idle()
  const response = await fetch(`${url}/one`)
  await response.text()
  await app.background.idle()

  t.strictSame(ran, ['undefined', '/one none'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 2 }))
})

test('R4: each attempt of the tasks of interleaved requests sees the store of its own, and its own context', async (t, app) => {
  const ran: Array<[name: string, ...seen: unknown[]]> = []
  const bothIn = latch()
  let entered = 0
  async function flaky (this: TaskContext, name: string): Promise<void> {
    ran.push([name, seen(), this.attempt, getTaskContext() === this])
    await turn()
    ran.push([name, seen(), this.attempt, getTaskContext() === this])
    if (this.attempt < 3) throw new Error('broken')
  }
  const policy = { retries: 2, backoff: { delay: 0 } }
  app.get<{ Params: { name: string } }>('/:name', {
    background: defineTask(function (request) { return flaky.call(this, request.params.name) }, policy)
  }, async (request, reply) => {
    const { name } = request.params
    reply.background.addTask(defineTask(flaky, policy), name)
    if (++entered === 2) bothIn.open()
    await bothIn
    store.set('step', name)
    return name
  })
  const { url } = await listen(app)

  const replies = await Promise.all(['a', 'b'].map((name) => fetch(`${url}/${name}`)))
  for (const response of replies) await response.text()
  await app.background.idle()

  for (const name of ['a', 'b']) {
    const once = [1, 1, 2, 2, 3, 3].map((attempt) => [name, `/${name} ${name}`, attempt, true])
    t.strictSame(ran.filter(([of]) => of === name), [...once, ...once])
  }
  t.strictSame(app.background.stats(), counts({ accepted: 4, completed: 4 }))
})

test('R4: a function that goes on after its time-out, or after it was cancelled, keeps store and context', async (t, app) => {
  const ran: unknown[] = []
  const go = latch()
  const late = latch<void>()
  async function slow (this: TaskContext): Promise<void> {
    if (this.attempt > 1) return
    await go
    ran.push([this.name, seen(), getTaskContext() === this])
    if (ran.length === 2) late.open()
  }
  const timesOut = defineTask(slow, { name: 'times out', timeout: 5, retries: 1, backoff: { delay: 0 } })
  const isCancelled = defineTask(slow, { name: 'is cancelled' })
  app.get('/:name', async (_request, reply) => {
    store.set('step', 'handler')
    const [first, second] = reply.background.addTasks([timesOut, isCancelled])
    first.finished().then(async () => {
      await until(() => second.state === 'active')
      second.cancel()
    })
    return 'hello'
  })
  const { url } = await listen(app)

  const response = await fetch(`${url}/one`)
  await response.text()
  await app.background.idle()
  go.open()
  await late

  t.strictSame(ran, [['times out', '/one handler', true], ['is cancelled', '/one handler', true]])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 1, cancelled: 1 }))
})
