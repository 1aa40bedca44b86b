import t from 'tap'
import background from '../lib/index'
import { createDurableApp, durable, recorder } from './helpers/durable'
import { listen } from './helpers/app'
import { beginClose } from './helpers/closing'
import { counts } from './helpers/counts'
import { latch, until } from './helpers/latch'
import { failing, IN_A_MINUTE, never } from './helpers/policies'
import { manyTurns } from './helpers/reply'
import { serve } from './helpers/serve'
import { head, rawClient } from './helpers/tcp'

const HANDED_BACK = 'background task handed back: it was not finished when closeTimeout was over'

for (const local of [true, false]) {
  const where = local ? 'a local engine' : 'a remote engine'

  t.test(`L1: shutdown waits for durable runs at work, with ${where}`, async (t) => {
    const go = latch()
    const { app, engine } = await createDurableApp(t, { tasks: [durable('task', () => go)], local })
    await app.ready()
    const run = app.background.addTask(durable('task', () => {}))
    await until(() => run.state === 'active')
    const { closed, isClosed } = beginClose(app)
    await until(() => engine.calls.includes('stop'))
    await manyTurns()
    t.notOk(isClosed())
    go.open()
    await closed

    t.equal(run.state, 'completed')
    t.strictSame(engine.outcomes, [{ state: 'completed', result: undefined }])
    t.strictSame(engine.calls, ['open', 'work', 'stop', 'close'])
  })

  t.test(`D5: what shutdown does not wait for is handed back, and the next process runs it, with ${where}`, async (t) => {
    const signals: AbortSignal[] = []
    const task = durable('task', function () {
      signals.push(this.signal)
      return never()
    })
    const { app, engine, lines, errors } = await createDurableApp(t, { tasks: [task], local, closeTimeout: 20 })
    await app.ready()
    const run = app.background.addTask(task)
    await until(() => run.state === 'active')
    const finished = run.finished()
    await app.close()

    t.equal(await finished, run)
    t.match(run, { state: 'stored', finishedAt: undefined, error: { code: 'FST_ERR_BACKGROUND_CLOSED' } })
    t.strictSame(signals.map(({ aborted, reason }) => [aborted, reason]), [[true, run.error]], 'it is not begun again')
    t.match(lines.filter(({ msg }) => msg === HANDED_BACK), [{ task: 'task', taskId: run.id, level: 30 }])
    t.strictSame(errors, [])
    t.strictSame(app.background.stats(), counts({ accepted: 1, stored: 1 }))
    t.match(engine.memory.entries.get(run.id), { state: 'queued', attempt: 0, restarts: 0 })
    t.strictSame(engine.outcomes, [{ state: 'returned', delay: local ? 1_000 : 0 }])

    const attempts: number[] = []
    const next = await createDurableApp(t, {
      tasks: [durable('task', function () { attempts.push(this.attempt) })], local, memory: engine.memory
    })
    await next.app.ready()
    await until(() => next.engine.outcomes.length === 1)
    t.strictSame(attempts, [1])
  })

  t.test(`D5: a second attempt that is handed back stays the second, with ${where}`, async (t) => {
    const task = durable('task', function () {
      if (this.attempt === 1) throw new Error('broken')
      return never()
    }, { retries: 1, backoff: { delay: 0 } })
    const { app, engine } = await createDurableApp(t, { tasks: [task], local, closeTimeout: 0 })
    await app.ready()
    const run = app.background.addTask(task)
    await until(() => run.attempt === 2)
    await app.close()

    t.match(engine.memory.entries.get(run.id), { state: 'retrying', attempt: 1 })
    t.match(engine.outcomes.map(({ state }) => state), ['failed', 'returned'])
  })
}

t.test('D5: what a local engine has not come to yet is handed back, and does not start any more', async (t) => {
  const [task, slow] = [recorder('task'), durable('slow', never)]
  const { app, engine, lines } = await createDurableApp(t, { tasks: [task, slow], local: true, closeTimeout: 20, concurrency: 2 })
  await app.ready()
  // Of this one, the engine knows nothing.
  app.background.addTask(never)
  const [busy, waiting] = [app.background.addTask(slow), app.background.addTask(task)]
  await until(() => busy.state === 'active' && engine.memory.entries.get(waiting.id)?.state === 'active')
  // Its delivery waits for a slot.
  t.equal(waiting.state, 'queued')
  await app.close()

  t.strictSame([busy.state, waiting.state], ['stored', 'stored'])
  t.strictSame(task.calls, [])
  t.equal(lines.filter(({ msg }) => msg === HANDED_BACK).length, 2)
})

t.test('D5: what a local engine would deliver after it was handed back, it gets back again', async (t) => {
  const task = recorder('task')
  const { app, engine, lines } = await createDurableApp(t, { tasks: [task], local: true, closeTimeout: 20 })
  // A worker that is late: nothing is delivered until the runs have been handed back.
  const go = latch()
  const work = engine.work.bind(engine)
  engine.work = async (worker) => { go.then(() => work(worker)) }
  app.addHook('onClose', async () => {
    go.open()
    await until(() => engine.outcomes.length === 1)
  })
  await app.ready()
  const run = app.background.addTask(task)
  await run.stored()
  await app.close()

  t.equal(run.state, 'stored')
  t.match(engine.outcomes, [{ state: 'returned', delay: Number }])
  t.strictSame(task.calls, [])
  t.equal(lines.filter(({ msg }) => msg === HANDED_BACK).length, 1)
})

t.test('D5: a run that waits for its next attempt is handed back', async (t) => {
  const task = durable('task', failing(9), { retries: 9, backoff: IN_A_MINUTE })
  const { app, engine, lines } = await createDurableApp(t, { tasks: [task], local: true, closeTimeout: 20 })
  await app.ready()
  const run = app.background.addTask(task)
  await until(() => run.state === 'retrying')
  await app.close()

  t.equal(run.state, 'stored')
  t.match(lines.filter(({ msg }) => msg === HANDED_BACK), [{ taskId: run.id }])
  t.match(engine.memory.entries.get(run.id), { state: 'retrying', attempt: 1 })
})

t.test('D5: what is held for a reply that does not end is handed back', async (t) => {
  const task = recorder('task')
  const { app, engine } = await createDurableApp(t, { tasks: [task], local: true, closeTimeout: 0 })
  const held = latch()
  let run!: background.TaskRun
  app.get('/', async (_, reply) => {
    reply.hijack()
    run = reply.background.addTask(task)
    await run.stored()
    held.open()
  })
  app.inject('/').catch(() => {})
  await held
  await app.close()

  t.equal(run.state, 'stored')
  t.match(engine.memory.entries.get(run.id), { state: 'queued', attempt: 0 })
  t.strictSame(task.calls, [])
})

t.test('D5: what is held or waits for a reply that began when shutdown was nearly over ends with it', async (t) => {
  const task = recorder('task')
  const { app, engine } = await createDurableApp(t, { tasks: [task], local: true, closeTimeout: 1 })
  const [entered, other] = [latch(), latch()]
  const runs: background.TaskRun[] = []
  app.get('/hijacked', async (_, reply) => {
    other.then(() => { runs.push(reply.background.addTask(task)) })
    reply.hijack()
  })
  app.get('/open', async (_, reply) => {
    other.then(() => {
      runs.push(reply.background.addTask(task))
      reply.background.addTask(task).cancel()
    })
    return await new Promise(() => {})
  })
  // Shutdown settles this one, at half of its last second.
  app.get('/settled', async (_, reply) => {
    reply.background.addTask(() => {
      other.open()
      return never()
    })
    entered.open()
    return await new Promise(() => {})
  })
  for (const path of ['/hijacked', '/open', '/settled']) app.inject(path).catch(() => {})
  await entered
  await app.close()

  t.strictSame(runs.map(({ state }) => state), ['stored', 'discarded'])
  t.match(engine.memory.entries.get(runs[0].id), { state: 'queued', attempt: 0, held: true })
  t.strictSame(engine.stores, [['task']])
  t.strictSame(app.background.stats(), counts({ accepted: 4, stored: 1, discarded: 1, cancelled: 2 }))
})

for (const [what, local, fails, state] of [
  ['handed back when a local engine has it', true, false, 'stored'],
  ['stored when a remote engine has it', false, false, 'stored'],
  ['failed when the engine does not get it', true, true, 'failed']
] as const) {
  t.test(`D5: a run that is being stored when shutdown ends is ${what}`, async (t) => {
    const task = recorder('task')
    const { app, engine } = await createDurableApp(t, { tasks: [task], local, closeTimeout: 0 })
    const go = latch()
    engine.gates.store = async () => {
      await go
      if (fails) throw new Error('the engine is away')
    }
    engine.gates.close = async () => {
      go.open()
      await manyTurns()
    }
    let ofReply!: background.TaskRun
    app.get('/', async (_, reply) => {
      reply.hijack()
      ofReply = reply.background.addTask(task)
    })
    app.inject('/').catch(() => {})
    await until(() => ofReply !== undefined && engine.stores.length === 1)
    const ofApp = app.background.addTask(task)
    await until(() => engine.stores.length === 2)
    await app.close()
    await until(() => ofApp.state === state && ofReply.state === state)

    t.strictSame(task.calls, [])
    t.strictSame(engine.cancelled, [])
  })
}

t.test('D5: a reply that shutdown settles has its tasks stored', async (t) => {
  const [always, success] = [recorder('always'), recorder('success', { when: 'success' })]
  const { app, engine } = await createDurableApp(t, { tasks: [always, success], closeTimeout: 0 })
  const [entered, go] = [latch(), latch()]
  let runs!: background.TaskRun[]
  app.get('/', async (_, reply) => {
    runs = [reply.background.addTask(always), reply.background.addTask(success)]
    entered.open()
    await go
    return 'ok'
  })
  const answer = app.inject('/')
  await entered
  await app.close()
  go.open()
  await answer

  t.strictSame(runs.map(({ state }) => state), ['stored', 'discarded'])
  t.strictSame(engine.stores, [['always']])
})

t.test('L2: a task that is at work while the application closes may add durable ones', async (t) => {
  const [task, go] = [recorder('task'), latch()]
  const { app, engine } = await createDurableApp(t, { tasks: [task], local: true })
  await serve(app, (reply) => {
    reply.background.addTask(async () => {
      await go
      reply.background.addTask(task, 'of the reply')
      app.background.addTask(task, 'of the application')
    })
  })
  const { closed } = beginClose(app)
  await until(() => engine.calls.includes('stop'))
  go.open()
  await closed

  t.strictSame(task.calls.flat().sort(), ['of the application', 'of the reply'])
  t.throws(() => app.background.addTask(task), { code: 'FST_ERR_BACKGROUND_CLOSED' })
})

t.test('L2: a reply that is under way while the application closes stores its tasks and runs them', async (t) => {
  const [task, entered, go] = [recorder('task'), latch(), latch()]
  const { app } = await createDurableApp(t, { tasks: [task], local: true })
  app.get('/', async (_, reply) => {
    entered.open()
    await go
    reply.background.addTask(task)
    return 'ok'
  })
  const { port } = await listen(app)
  const client = await rawClient(port)
  client.socket.write(head('GET', '/', { connection: 'close' }))
  await entered
  const { closed } = beginClose(app)
  go.open()
  await client.receives('ok')
  await closed

  t.equal(task.calls.length, 1)
})

for (const [what, stop] of [['fails', () => { throw new Error('away') }], ['does not answer', never]] as const) {
  t.test(`L1: an engine whose stop() ${what} does not keep shutdown from waiting for what is at work`, async (t) => {
    const [ends, go] = [[] as string[], latch()]
    const { app, engine, lines } = await createDurableApp(t, { tasks: [], storeTimeout: 5 })
    engine.gates.stop = stop
    await app.ready()
    app.background.addTask(async () => {
      await go
      ends.push('task')
    })
    const { closed } = beginClose(app)
    await until(() => lines.some(({ level }) => level === 40))
    go.open()
    await closed.then(() => ends.push('closed'))

    t.strictSame(ends, ['task', 'closed'])
    t.match(lines.filter(({ level }) => level === 40), [{ msg: 'the engine memory may deliver background tasks while the application closes' }])
  })
}
