import t from 'tap'
import background from '../lib/index'
import { createApp, listen } from './helpers/app'
import { counts } from './helpers/counts'
import { latch, until, type Latch } from './helpers/latch'

const { BackgroundTask, BackgroundTasks } = background

t.test("A1: a route's tasks run before those added to the reply, which run in the order of the calls", async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  const note = (name: string): void => { ran.push(name) }
  app.get('/', { background: [new BackgroundTask(note, 'route 1'), new BackgroundTask(note, 'route 2')] }, async (_, reply) => {
    reply.background.addTask(note, 'reply 1')
    reply.background.addTasks([new BackgroundTask(note, 'reply 2'), new BackgroundTask(note, 'reply 3')])
    reply.background.addTask(new BackgroundTask(note, 'reply 4'))
    return 'ok'
  })
  const { url } = await listen(app)

  await fetch(url)
  await app.background.idle()

  t.strictSame(ran, ['route 1', 'route 2', 'reply 1', 'reply 2', 'reply 3', 'reply 4'])
  t.strictSame(app.background.stats(), counts({ accepted: 6, completed: 6 }))
})

t.test("A1: a route's tasks come first, even where a hook before them was the first to add one", async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  const note = (name: string): void => { ran.push(name) }
  app.addHook('onRequest', async (_, reply) => { reply.background.addTask(note, 'early') })
  app.get('/', { background: new BackgroundTask(note, 'route') }, async () => 'ok')
  const { url } = await listen(app)

  await fetch(url)
  await app.background.idle()

  t.strictSame(ran, ['route', 'early'])
})

t.test('A1: tasks can be added from every hook that has a reply, and run in that order', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  const note = (name: string): void => { ran.push(name) }
  for (const hook of ['onRequest', 'preParsing', 'preValidation', 'preHandler', 'preSerialization', 'onSend', 'onResponse'] as const) {
    // One signature fits them all: the payload of three of them is let through as it is.
    app.addHook(hook as 'onRequest', async (_request, reply) => { reply.background.addTask(note, hook) })
  }
  app.get('/', { background: new BackgroundTask(note, 'route') }, async (_, reply) => {
    reply.background.addTask(note, 'handler')
    return { hello: 'world' }
  })
  const { url } = await listen(app)

  await fetch(url)
  await app.background.idle()

  t.strictSame(ran, [
    'route', 'onRequest', 'preParsing', 'preValidation', 'preHandler', 'handler', 'preSerialization', 'onSend', 'onResponse'
  ])
})

t.test('A1: tasks can be added from an onError hook and an error handler', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  const note = (name: string): void => { ran.push(name) }
  app.addHook('onError', async (_request, reply) => { reply.background.addTask(note, 'onError') })
  app.setErrorHandler(async (error: Error, _request, reply) => {
    reply.background.addTask(note, `handler of ${error.message}`)
    return reply.code(500).send('sorry')
  })
  app.get('/', async (_, reply) => {
    reply.background.addTask(note, 'handler')
    throw new Error('x')
  })
  const { url } = await listen(app)

  t.equal((await fetch(url)).status, 500)
  await app.background.idle()

  t.strictSame(ran, ['handler', 'onError', 'handler of x'])
})

t.test('A1: the top-level option and config.background of one route are both heard, in this order', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  const note = (name: string): void => { ran.push(name) }
  app.get('/', {
    background: new BackgroundTask(note, 'top'),
    config: { background: [new BackgroundTask(note, 'config'), () => { ran.push('function') }] }
  }, async () => 'ok')
  const { url } = await listen(app)

  await fetch(url)
  await app.background.idle()

  t.strictSame(ran, ['top', 'config', 'function'])
})

t.test('A1: a group on a route takes one place in the order', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  const note = (name: string): void => { ran.push(name) }
  const group = new BackgroundTasks().addTask(note, 'group 1').addTask(note, 'group 2')
  app.get('/', { background: [group, new BackgroundTask(note, 'behind')] }, async () => 'ok')
  const { url } = await listen(app)

  await fetch(url)
  await app.background.idle()

  t.strictSame(ran, ['group 1', 'group 2', 'behind'])
})

t.test('A1: a route function gets request and reply, and tasks that it returns go to the end', async (t) => {
  const app = await createApp(t)
  const ran: unknown[] = []
  const note = (name: string): void => { ran.push(name) }
  app.get<{ Querystring: { n: string } }>('/', {
    background: [
      (request, reply) => {
        ran.push([request.query.n, reply.statusCode])
        return new BackgroundTask(note, 'returned')
      },
      async () => [new BackgroundTask(note, 'list 1'), new BackgroundTasks().addTask(note, 'list 2')]
    ]
  }, async (_, reply) => {
    reply.background.addTask(note, 'reply')
    return reply.code(202).send('ok')
  })
  const { url } = await listen(app)

  await fetch(`${url}/?n=7`)
  await app.background.idle()

  t.strictSame(ran, [['7', 202], 'reply', 'returned', 'list 1', 'list 2'])
})

t.test('A1: every way to a route leads to its tasks, once: HEAD, several methods, both forms of a prefix', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  const task = { background: (request: { method: string, url: string }) => { ran.push(`${request.method} ${request.url}`) } }
  app.get('/get', task, async () => 'ok')
  app.route({ method: ['PUT', 'PATCH'], url: '/list', ...task, handler: async () => 'ok' })
  app.register(async (child) => { child.get('/', task, async () => 'ok') }, { prefix: '/both' })
  const { url } = await listen(app)

  for (const [method, path] of [
    ['GET', '/get'], ['HEAD', '/get'], ['PUT', '/list'], ['PATCH', '/list'], ['GET', '/both'], ['GET', '/both/']
  ]) {
    await fetch(url + path, { method })
    await app.background.idle()
  }

  t.strictSame(ran, ['GET /get', 'HEAD /get', 'PUT /list', 'PATCH /list', 'GET /both', 'GET /both/'])
  t.strictSame(app.background.stats(), counts({ accepted: 6, completed: 6 }))
})

t.test('A1: reply.background.size counts what is accepted and not finished', async (t) => {
  const app = await createApp(t)
  const sizes: number[] = []
  const done = latch()
  app.get('/', { background: () => {} }, async (_, reply) => {
    sizes.push(reply.background.size)
    reply.background.addTasks([() => {}, () => {}])
    sizes.push(reply.background.size)
    reply.background.addTasks(new BackgroundTasks([() => {}, () => {}]))
    sizes.push(reply.background.size)
    reply.background.addTask(() => { sizes.push(reply.background.size) })
      .finished().then(() => { sizes.push(reply.background.size); done.open() })
    return 'ok'
  })
  const { url } = await listen(app)

  await fetch(url)
  await done

  t.strictSame(sizes, [1, 3, 5, 1, 0])
})

t.test('A3: requests that overlap share nothing', async (t) => {
  const app = await createApp(t)
  const bothEntered = latch()
  const answers: Record<string, Latch> = { a: latch(), b: latch() }
  const ran: string[] = []
  const seen: Record<string, unknown> = {}
  let entered = 0
  app.get<{ Params: { id: string } }>('/:id', {
    background: (request, reply) => { ran.push(`route ${request.params.id} ${reply.getHeader('x-id')}`) }
  }, async (request, reply) => {
    const { id } = request.params
    reply.header('x-id', id)
    reply.background.addTask((value: string) => { ran.push(`reply ${value}`) }, id)
    if (++entered === 2) bothEntered.open()
    await answers[id]
    if (id === 'a') reply.background.addTask((value: string) => { ran.push(`late ${value}`) }, id)
    seen[id] = reply.background.size
    return id
  })
  const { url } = await listen(app)

  const a = fetch(`${url}/a`)
  const b = fetch(`${url}/b`)
  await bothEntered
  answers.b.open()
  await b
  // The runs of the reply that is still open stay where they are.
  await until(() => app.background.stats().completed === 2)
  t.strictSame(ran, ['route b b', 'reply b'])
  t.strictSame(app.background.stats(), counts({ accepted: 4, completed: 2, queued: 2 }))
  answers.a.open()
  await a
  await app.background.idle()

  t.strictSame(ran, ['route b b', 'reply b', 'route a a', 'reply a', 'late a'])
  t.strictSame(seen, { a: 3, b: 2 })
})

t.test('A3: one task object serves many requests at once, each with a run of its own', async (t) => {
  const app = await createApp(t)
  const all = latch()
  const release = latch()
  const ids = new Set<string>()
  const names: string[] = []
  const task = new BackgroundTask(async function send (this: background.TaskContext, to: string) {
    ids.add(this.id)
    names.push(`${this.name} ${to}`)
    if (names.length === 6) all.open()
    await release
  }, 'a@b.c')
  const runs: background.TaskRun[] = []
  app.get('/route', { background: task }, async () => 'ok')
  app.get('/reply', async (_, reply) => {
    runs.push(reply.background.addTask(task))
    return 'ok'
  })
  const { url } = await listen(app)

  await Promise.all(['/route', '/reply', '/route', '/reply', '/route', '/reply'].map((path) => fetch(url + path)))
  await all // all of them are active at the same time
  t.strictSame(app.background.stats(), counts({ accepted: 6, active: 6 }))
  release.open()
  await app.background.idle()

  t.strictSame(names, new Array(6).fill('send a@b.c'))
  t.equal(ids.size, 6)
  t.equal(new Set(runs).size, 3)
})

t.test('A3: one group object serves many requests, and a failure in one does not stop the others', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  let calls = 0
  const group = new BackgroundTasks([
    () => { if (calls++ === 0) throw new Error('the first time only') },
    () => { ran.push('second') }
  ], { onFailure: 'stop' })
  app.get('/', { background: group }, async () => 'ok')
  const { url } = await listen(app)

  for (let i = 0; i < 3; i++) {
    await fetch(url)
    await app.background.idle()
  }

  t.strictSame(ran, ['second', 'second'])
  t.strictSame(app.background.stats(), counts({ accepted: 6, completed: 4, failed: 1, discarded: 1 }))
})

t.test('A3: a group is copied when it is attached: what is added to it later, no request sees', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  const note = (name: string): void => { ran.push(name) }
  const onRoute = new BackgroundTasks().addTask(note, 'route')
  const onReply = new BackgroundTasks().addTask(note, 'reply')
  app.get('/', { background: onRoute }, async (_, reply) => {
    reply.background.addTasks(onReply)
    onReply.addTask(note, 'added to the group of the reply')
    return 'ok'
  })
  onRoute.addTask(note, 'added to the group of the route')
  const { url } = await listen(app)

  await fetch(url)
  await app.background.idle()

  t.strictSame(ran, ['route', 'reply'])
})

t.test('A3: a list is copied when it is attached', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  const note = (name: string): void => { ran.push(name) }
  const list = [new BackgroundTask(note, 'route')]
  app.get('/', { background: list }, async () => 'ok')
  list.push(new BackgroundTask(note, 'added to the list'))
  const { url } = await listen(app)

  await fetch(url)
  await app.background.idle()

  t.strictSame(ran, ['route'])
})
