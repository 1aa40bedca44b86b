import { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import type { FastifyInstance, FastifyReply } from 'fastify'
import background from '../lib/index'
import { listen } from './helpers/app'
import { createDurableApp, durable, recorder } from './helpers/durable'
import { latch, until } from './helpers/latch'
import { closed, manyTurns } from './helpers/reply'
import { serve } from './helpers/serve'
import { head, rawClient } from './helpers/tcp'

const { BackgroundTask } = background

t.test('D1: the durable tasks of a reply are stored with one call, before its first byte leaves', async (t) => {
  const [a, b, c] = [recorder('a'), recorder('b'), recorder('c')]
  const { app, engine } = await createDurableApp(t, { tasks: [a, b, c] })
  const asked = latch()
  const go = latch()
  engine.gates.store = () => {
    asked.open()
    return go
  }
  app.get('/', { background: new BackgroundTask(a, 1) }, async (_, reply) => {
    reply.background.addTask(b, 2)
    reply.background.addTasks([c])
    return 'ok'
  })
  const { port } = await listen(app)
  const client = await rawClient(port)
  client.socket.write(head('GET', '/'))
  await asked
  await manyTurns()

  t.equal(client.received(), '')
  t.strictSame(engine.stores, [['a', 'b', 'c']])
  go.open()
  await client.receives('ok')
  t.match(client.received(), /^HTTP\/1\.1 200 /)
  await until(() => c.calls.length > 0)
  t.strictSame([a.calls, b.calls, c.calls], [[[1]], [[2]], [[]]])
  client.leave()
})

t.test('D1: the id of the request goes with the task as a text, whatever genReqId returns', async (t) => {
  const task = recorder('task')
  const { app, engine } = await createDurableApp(t, { tasks: [task], worker: false }, { genReqId: (() => 0) as never })
  let run!: background.TaskRun
  await serve(app, (reply) => { run = reply.background.addTask(task) })

  t.equal(engine.memory.entries.get(run.id)!.task.reqId, '0')
})

t.test('D1: a reply without durable tasks whose condition holds asks the engine for nothing', async (t) => {
  const task = recorder('task', { when: 'error' })
  const { app, engine } = await createDurableApp(t, { tasks: [task] })
  app.get('/', async (_, reply) => {
    reply.background.addTask(task)
    reply.background.addTask(() => {})
    return 'ok'
  })
  t.equal((await app.inject('/')).statusCode, 200)
  await app.background.idle()

  t.strictSame(engine.stores, [])
  t.match(app.background.stats(), { accepted: 2, discarded: 1, completed: 1, stored: 0 })
})

/** Tasks of each condition, on the route and on the reply, and a way to ask which were stored. */
async function withConditions (t: Test, prepare: (app: FastifyInstance) => void, answer: (reply: FastifyReply) => unknown): Promise<(path?: string) => Promise<string[][]>> {
  const named = (name: string, when?: background.When): background.TaskDefinition => durable(name, () => {}, { when })
  const seen: number[] = []
  const route = [named('route'), named('route always', 'always'), named('route error', 'error')]
  const reply = [named('reply'), named('success', 'success'), named('error', 'error'),
    named('function', (_, reply) => { seen.push(reply.statusCode); return reply.statusCode === 200 })]
  const { app, engine } = await createDurableApp(t, { tasks: [...route, ...reply] })
  prepare(app)
  const add = (to: FastifyReply): void => { for (const task of reply) to.background.addTask(task) }
  app.get('/', { background: route.map((task) => new BackgroundTask(task)) }, async (_, to) => {
    add(to)
    return await answer(to)
  })
  app.setNotFoundHandler(async (_, to) => {
    add(to)
    return to.code(404).send('not found')
  })
  return async (path = '/') => {
    await app.inject(path)
    await app.background.idle()
    return engine.stores
  }
}

const SUCCESS = [['route', 'route always', 'reply', 'success', 'function']]
const ERROR = [['route always', 'route error', 'reply', 'error']]

t.test('D1: conditions hold by the status: of a success', async (t) => {
  const ask = await withConditions(t, () => {}, () => 'ok')
  t.strictSame(await ask(), SUCCESS)
})

t.test('D1: conditions hold by the status: of an error reply', async (t) => {
  const ask = await withConditions(t, () => {}, () => { throw new Error('broken') })
  t.strictSame(await ask(), ERROR)
})

t.test('D1: conditions hold by the status: that a handler has set', async (t) => {
  const ask = await withConditions(t, () => {}, (reply) => reply.code(409).send({}))
  t.strictSame(await ask(), ERROR)
})

t.test('D1: conditions hold by the status: of a 404', async (t) => {
  const ask = await withConditions(t, () => {}, () => 'ok')
  t.strictSame(await ask('/missing'), [['reply', 'error']])
})

t.test('D1: conditions hold by the status: that a web Response brings', async (t) => {
  const ask = await withConditions(t, () => {}, () => new Response('gone', { status: 410 }))
  // A function sees the reply as it is before Fastify has read the Response.
  t.strictSame(await ask(), [['route always', 'route error', 'reply', 'error', 'function']])
})

t.test('D1: conditions hold by the status: of a stream', async (t) => {
  const ask = await withConditions(t, () => {}, (reply) => reply.code(500).send(Readable.from(['a', 'b'])))
  t.strictSame(await ask(), ERROR)
})

t.test('D1: conditions hold by the status: of the error that an onSend hook of the route failed with', async (t) => {
  let broken = true
  const ask = await withConditions(t, (app) => {
    app.addHook('onSend', async () => {
      if (!broken) return
      broken = false
      throw new Error('no sending')
    })
  }, () => 'ok')
  t.strictSame(await ask(), ERROR)
})

t.test('D1: a condition that throws fails its run, and the others are stored', async (t) => {
  const reason = new Error('no condition')
  const [broken, fine] = [recorder('broken', { when () { throw reason } }), recorder('fine')]
  const { app, engine, errors } = await createDurableApp(t, { tasks: [broken, fine] })
  let run!: background.TaskRun
  let told!: Promise<unknown>
  app.get('/', async (_, reply) => {
    run = reply.background.addTask(broken)
    told = t.rejects(run.stored(), reason)
    reply.background.addTask(fine)
    return 'ok'
  })
  const { statusCode } = await app.inject('/')
  await told

  t.equal(statusCode, 200)
  t.equal(run.state, 'failed')
  t.strictSame(engine.stores, [['fine']])
  t.strictSame(errors.map(([error]) => error), [reason])
})

t.test('D1: a durable task that a condition adds is stored with the others', async (t) => {
  const added = recorder('added')
  const adding = durable('adding', () => {}, {
    when (request, reply) {
      reply.background.addTask(added)
      return true
    }
  })
  const { app, engine } = await createDurableApp(t, { tasks: [adding, added] })
  app.get('/', async (_, reply) => {
    reply.background.addTask(adding)
    return 'ok'
  })
  await app.inject('/')
  await until(() => added.calls.length > 0)

  t.strictSame(engine.stores, [['adding', 'added']])
})

t.test('D1: a durable task that is added while others are stored is stored before the reply leaves', async (t) => {
  const [first, second] = [recorder('first'), recorder('second')]
  const { app, engine } = await createDurableApp(t, { tasks: [first, second] })
  let reply: FastifyReply
  engine.gates.store = () => {
    engine.gates.store = () => { t.notOk(reply.raw.headersSent) }
    reply.background.addTask(second)
  }
  app.get('/', async (_, current) => {
    reply = current
    reply.background.addTask(first)
    return 'ok'
  })
  await app.inject('/')

  t.strictSame(engine.stores, [['first'], ['second']])
})

t.test('D1: what an onSend hook adds behind the plugin is stored at once', async (t) => {
  const task = recorder('task')
  const { app, engine } = await createDurableApp(t, { tasks: [task] })
  app.addHook('onRoute', (route) => {
    // Behind the plugin's own, which it adds in a microtask.
    queueMicrotask(() => {
      queueMicrotask(() => {
        route.onSend = [route.onSend ?? [], async (_request: unknown, reply: FastifyReply) => { await reply.background.addTask(task).stored() }].flat() as never
      })
    })
  })
  app.get('/', async () => 'ok')
  await app.inject('/')
  await until(() => task.calls.length > 0)

  t.strictSame(engine.stores, [['task']])
})

t.test('D1: of a reply whose client has left before it, all is stored and run', async (t) => {
  const [route, task] = [recorder('route'), recorder('task')]
  const { app, engine } = await createDurableApp(t, { tasks: [route, task] })
  const entered = latch()
  const left = latch()
  const go = latch()
  app.get('/', { background: new BackgroundTask(route) }, async (_, reply) => {
    closed(reply).then(left.open)
    entered.open()
    await go
    reply.background.addTask(task)
    return 'ok'
  })
  const { port } = await listen(app)
  const client = await rawClient(port)
  client.socket.write(head('GET', '/'))
  await entered
  client.leave()
  await left
  go.open()
  await until(() => route.calls.length + task.calls.length === 2)

  t.strictSame(engine.stores, [['route', 'task']])
})

t.test('D1: of a reply that its handler gives up when the client has left, what runs on errors is stored', async (t) => {
  const [always, success] = [recorder('always'), recorder('success', { when: 'success' })]
  const { app, engine } = await createDurableApp(t, { tasks: [always, success], settleTimeout: 1 })
  const entered = latch()
  app.get('/', async (_, reply) => {
    reply.background.addTask(always)
    reply.background.addTask(success)
    entered.open()
    return await new Promise(() => {})
  })
  const { port } = await listen(app)
  const client = await rawClient(port)
  client.socket.write(head('GET', '/'))
  await entered
  client.leave()
  await until(() => always.calls.length > 0)

  t.strictSame(engine.stores, [['always']])
  t.match(app.background.stats(), { discarded: 1 })
})
