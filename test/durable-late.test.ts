import { Readable } from 'node:stream'
import t from 'tap'
import type { FastifyReply } from 'fastify'
import background from '../lib/index'
import { listen } from './helpers/app'
import { createDurableApp, durable, recorder } from './helpers/durable'
import { latch, until } from './helpers/latch'
import { manyTurns } from './helpers/reply'
import { serve } from './helpers/serve'
import { head, rawClient } from './helpers/tcp'
import { unhandledRejections } from './helpers/unhandled'

const { BackgroundTask } = background

const AWAY = new Error('the engine is away')
const STORE_FAILED = 'FST_ERR_BACKGROUND_STORE_FAILED'

t.test('D1: outside a request tasks are stored at once, those of one go with one call', async (t) => {
  const task = recorder('task')
  const { app, engine } = await createDurableApp(t, { tasks: [task] })
  await app.ready()
  const runs = [app.background.addTask(task, 1), ...app.background.addTasks([new BackgroundTask(task, 2), new BackgroundTask(task, 3)])]
  t.strictSame(engine.stores, [])
  for (const run of runs) t.equal(await run.stored(), run)
  await until(() => task.calls.length === 3)

  t.strictSame(engine.stores, [['task', 'task', 'task']])
  t.strictSame(task.calls, [[1], [2], [3]])
  const later = app.background.addTask(task, 4)
  t.equal(await later.stored(), later)
  t.equal(await later.stored(), later)
  t.strictSame(engine.stores, [['task', 'task', 'task'], ['task']])
})

for (const local of [true, false]) {
  t.test(`D1: from a task they are stored at once, with a ${local ? 'local' : 'remote'} engine`, async (t) => {
    const task = recorder('task')
    const { app, engine } = await createDurableApp(t, { tasks: [task], local })
    await serve(app, (reply) => {
      reply.background.addTask(async () => {
        const run = reply.background.addTask(task)
        await run.stored()
        t.strictSame(engine.stores, [['task']])
      })
    })
    await until(() => task.calls.length === 1)
    await app.background.idle()

    t.match(app.background.stats(), { failed: 0 })
  })
}

t.test('D1: after the reply they are stored at once, and their conditions asked once', async (t) => {
  let asked = 0
  const task = recorder('task', { when: () => ++asked > 0 })
  const { app, engine } = await createDurableApp(t, { tasks: [task], local: true })
  let reply!: FastifyReply
  await serve(app, (current) => {
    reply = current
    reply.background.addTask(() => {})
  })
  await app.background.idle()
  const runs = [reply.background.addTask(task), reply.background.addTask(task)]
  t.equal(reply.background.size, 2)
  await runs[1].stored()
  await app.background.idle()

  t.strictSame(engine.stores, [['task', 'task']])
  t.equal(task.calls.length, 2)
  t.equal(asked, 2)
  t.equal(reply.background.size, 0)
})

t.test('D1, T1: of a hijacked reply they are stored at once, and start when it has left', async (t) => {
  const [route, task] = [recorder('route'), recorder('task')]
  const { app, engine } = await createDurableApp(t, { tasks: [route, task], local: true })
  const hijacked = latch()
  const end = latch()
  app.get('/', { background: new BackgroundTask(route) }, async (_, reply) => {
    reply.hijack()
    await reply.background.addTask(task).stored()
    hijacked.open()
    await end
    reply.raw.end('ok')
  })
  const { port } = await listen(app)
  const client = await rawClient(port)
  client.socket.write(head('GET', '/'))
  await hijacked
  await manyTurns()

  t.strictSame(engine.stores, [['route', 'task']])
  t.strictSame([route.calls, task.calls], [[], []])
  end.open()
  await until(() => route.calls.length + task.calls.length === 2)
  client.leave()
})

for (const [what, fails] of [['stored', false], ['failed', true]] as const) {
  t.test(`D1: of a reply that a hook has hijacked, the route's tasks are ${what} with its own`, async (t) => {
    const [route, task] = [recorder('route', { when: () => true }), recorder('task')]
    const { app, engine, errors } = await createDurableApp(t, { tasks: [route, task], local: true })
    if (fails) engine.gates.store = () => { throw AWAY }
    app.addHook('onRequest', async (_, reply) => {
      reply.hijack()
      reply.background.addTask(task)
      setImmediate(() => reply.raw.end('ok'))
    })
    app.get('/', { background: new BackgroundTask(route) }, async () => 'never')
    const { url } = await listen(app)
    t.equal(await (await fetch(url)).text(), 'ok')
    await app.background.idle()

    t.strictSame(engine.stores, [['route', 'task']])
    t.strictSame(errors.map(([, { name }]) => name), fails ? ['route', 'task'] : [])
    t.strictSame([route.calls.length, task.calls.length], fails ? [0, 0] : [1, 1])
  })
}

t.test('D1: nobody has to hear of it that a task could not be stored: it has failed, and that is said', async (t) => {
  const task = recorder('task')
  const { app, engine, errors, lines } = await createDurableApp(t, { tasks: [task] })
  const unhandled = unhandledRejections(t)
  engine.gates.store = () => { throw AWAY }
  const run = app.background.addTask(task)
  t.equal(await run.finished(), run)
  await manyTurns()

  t.match(run, { state: 'failed', error: { code: STORE_FAILED, cause: AWAY } })
  await t.rejects(run.stored(), run.error as Error)
  t.strictSame(errors, [[run.error, run]])
  t.match(lines.filter(({ level }) => level === 50), [{ task: 'task', taskId: run.id, err: { code: STORE_FAILED } }])
  t.strictSame(unhandled, [])
})

t.test('D1: stored() rejects where a run has ended before it came to that', async (t) => {
  const task = recorder('task')
  const unmet = recorder('unmet', { when: 'error' })
  const { app, engine } = await createDurableApp(t, { tasks: [task, unmet] })
  const reason = new Error('no longer wanted')
  const told: Array<Promise<unknown>> = []
  await serve(app, (reply) => {
    const [cancelled, discarded] = [reply.background.addTask(task), reply.background.addTask(unmet)]
    told.push(t.rejects(discarded.stored(), { code: STORE_FAILED, message: /"unmet" could not be stored: it was discarded before/ }))
    cancelled.cancel(reason)
    told.push(t.rejects(cancelled.stored(), { code: STORE_FAILED, message: /it was cancelled before/, cause: reason }))
  })
  await Promise.all(told)

  t.strictSame(engine.stores, [])
})

t.test('D1: stored() rejects for a task that is not durable', async (t) => {
  const { app } = await createDurableApp(t)
  await t.rejects(app.background.addTask(() => {}).stored(), { code: 'FST_ERR_BACKGROUND_NO_ENGINE', message: /is not durable/ })
})

t.test('T1: with a local engine a durable task starts only when its reply has left', async (t) => {
  const task = recorder('task')
  const { app, engine } = await createDurableApp(t, { tasks: [task], local: true })
  const go = latch()
  app.get('/', (_, reply) => {
    reply.background.addTask(task)
    reply.send(Readable.from((async function * () {
      yield 'begin'
      await go
      yield 'end'
    })()))
  })
  const { port } = await listen(app)
  const client = await rawClient(port)
  client.socket.write(head('GET', '/'))
  await client.receives('begin')
  await manyTurns()

  t.strictSame(engine.stores, [['task']])
  t.strictSame([task.calls, engine.released], [[], []])
  go.open()
  await client.receives('end')
  await until(() => task.calls.length === 1)
  client.leave()
})

t.test('T1: with a local engine a durable task starts when its client has left in mid-reply', async (t) => {
  const task = recorder('task')
  const { app } = await createDurableApp(t, { tasks: [task], local: true })
  app.get('/', (_, reply) => {
    reply.background.addTask(task)
    reply.send(Readable.from((async function * () {
      yield 'begin'
      await new Promise(() => {})
    })()))
  })
  const { port } = await listen(app)
  const client = await rawClient(port)
  client.socket.write(head('GET', '/'))
  await client.receives('begin')
  t.strictSame(task.calls, [])
  client.leave()
  await until(() => task.calls.length === 1)
})

t.test('D1: a reply that settles while its tasks are stored releases them then', async (t) => {
  const task = recorder('task')
  const { app, engine } = await createDurableApp(t, { tasks: [task], local: true, settleTimeout: 1 })
  const asked = latch()
  const go = latch()
  engine.gates.store = () => {
    asked.open()
    return go
  }
  let reply!: FastifyReply
  app.get('/', async (_, current) => {
    reply = current
    reply.background.addTask(task)
    return 'ok'
  })
  const { port } = await listen(app)
  const client = await rawClient(port)
  client.socket.write(head('GET', '/'))
  await asked
  client.leave()
  const settled = reply.background.addTask(background.defineTask(() => {}, { when: 'always' }))
  await settled.finished()
  t.strictSame(engine.released, [])
  go.open()
  await until(() => task.calls.length === 1)

  t.equal(engine.released.length, 1)
})

t.test('R1: durable tasks do not keep those of the process waiting', async (t) => {
  const go = latch()
  const slow = durable('slow', () => go)
  const { app } = await createDurableApp(t, { tasks: [slow], local: true })
  const ran: string[] = []
  let run!: background.TaskRun
  await serve(app, (reply) => {
    run = reply.background.addTask(slow)
    reply.background.addTask(() => { ran.push('beside') })
  })
  await until(() => ran.length === 1 && run.state === 'active')
  go.open()
  await app.background.idle()

  t.equal(run.state, 'completed')
})
