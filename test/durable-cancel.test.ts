import t from 'tap'
import type { FastifyReply } from 'fastify'
import type background from '../lib/index'
import { counts } from './helpers/counts'
import { createDurableApp, durable, recorder } from './helpers/durable'
import { latch, until } from './helpers/latch'
import { failing, IN_A_MINUTE, never, onEvent } from './helpers/policies'
import { manyTurns } from './helpers/reply'
import { serve } from './helpers/serve'

const REASON = new Error('no longer wanted')
const STORE_FAILED = 'FST_ERR_BACKGROUND_STORE_FAILED'

t.test('R5: a durable run that is cancelled before it is stored is not stored', async (t) => {
  const task = recorder('task')
  const { app, engine } = await createDurableApp(t, { tasks: [task] })
  const [run, other] = [app.background.addTask(task), app.background.addTask(task)]
  t.equal(run.cancel(REASON), true)
  await other.stored()
  app.background.addTask(task).cancel()
  await serve(app, (reply) => { reply.background.addTask(task).cancel() })
  await manyTurns()

  t.match(run, { state: 'cancelled', error: REASON })
  t.strictSame(engine.stores, [['task']])
  t.strictSame(engine.cancelled, [])
})

for (const local of [true, false]) {
  const where = local ? 'a local engine' : 'a remote engine'

  t.test(`R5: a durable run that is cancelled while ${where} stores it does not start`, async (t) => {
    const task = recorder('task')
    const { app, engine } = await createDurableApp(t, { tasks: [task], local })
    let run!: background.TaskRun
    let told!: Promise<unknown>
    engine.gates.store = () => { run.cancel(REASON) }
    const { statusCode } = await serve(app, (reply) => {
      run = reply.background.addTask(task)
      told = t.rejects(run.stored(), { code: STORE_FAILED, message: /it was cancelled before/, cause: REASON })
      reply.background.addTask(task, 'other')
    })
    await told
    await until(() => task.calls.length === 1)
    await until(() => engine.memory.entries.get(run.id)?.state === 'cancelled')

    t.equal(statusCode, 200)
    t.strictSame(task.calls, [['other']])
    t.strictSame(engine.cancelled, [[run.id, 'no longer wanted']])
    t.equal(run.cancel(), false)
  })

  t.test(`R5: a durable run that is cancelled while ${where} fails to store it is cancelled, and the others fail`, async (t) => {
    const task = recorder('task')
    const { app, engine, errors } = await createDurableApp(t, { tasks: [task], local })
    const runs = [1, 2, 3].map((number) => app.background.addTask(task, number))
    engine.gates.store = () => {
      runs[1].cancel(REASON)
      throw new Error('the engine is away')
    }
    await app.background.idle()

    t.strictSame(runs.map(({ state }) => state), ['failed', 'cancelled', 'failed'])
    t.strictSame(errors.map(([, run]) => run), [runs[0], runs[2]])
    t.strictSame(engine.cancelled, [])
  })

  t.test(`R5: a durable run that is cancelled at work ends, with ${where}`, async (t) => {
    const signals: AbortSignal[] = []
    const task = durable('task', function () {
      signals.push(this.signal)
      return never()
    })
    const { app, engine, lines } = await createDurableApp(t, { tasks: [task], local })
    await app.ready()
    const [first, second] = [app.background.addTask(task), app.background.addTask(task)]
    await until(() => second.state === 'active')
    t.equal(await app.background.cancel(first.id), true)
    // By the engine, as from another process.
    t.equal(await engine.cancel(second.id, 'from elsewhere'), true)
    await until(() => engine.outcomes.length === 2)

    t.match(first, { state: 'cancelled', error: { name: 'AbortError' } })
    t.match(second, { state: 'cancelled', error: 'from elsewhere' })
    t.strictSame(signals.map(({ aborted, reason }) => [aborted, reason]), [[true, first.error], [true, 'from elsewhere']])
    t.strictSame(engine.outcomes, [{ state: 'cancelled', reason: first.error }, { state: 'cancelled', reason: 'from elsewhere' }])
    t.strictSame(engine.cancelled, [[second.id, 'from elsewhere']], 'an engine that waits for the outcome is not told twice')
    t.match(lines.filter(({ msg }) => msg === 'background task cancelled'), [{ taskId: first.id }, { taskId: second.id }])
    t.strictSame(app.background.stats(), counts({ accepted: 2, cancelled: 2 }))
  })

  t.test(`R5: a durable run that is cancelled while it waits for its next attempt makes no other, with ${where}`, async (t) => {
    const task = durable('task', failing(9), { retries: 9, backoff: IN_A_MINUTE })
    const { app, engine } = await createDurableApp(t, { tasks: [task], local })
    await app.ready()
    const run = app.background.addTask(task)
    await until(() => engine.outcomes.length === 1)
    t.equal(run.state, local ? 'retrying' : 'stored')
    t.equal(await app.background.cancel(run.id), true)
    await until(() => engine.memory.entries.get(run.id)?.state === 'cancelled')

    t.equal(run.state, local ? 'cancelled' : 'stored')
    t.match(await app.background.find(run.id), { state: 'cancelled', attempt: 1 })
    t.equal(await app.background.cancel(run.id), false)
  })

  t.test(`R5: a durable run that is cancelled in the moment that its attempt fails makes no other, with ${where}`, async (t) => {
    const task = durable('task', failing(9), { retries: 9, backoff: { delay: 0 } })
    const { app, engine } = await createDurableApp(t, { tasks: [task], local })
    onEvent(t, app, 'retrying', ({ run }) => { t.equal(run.cancel(REASON), true) })
    await app.ready()
    const run = app.background.addTask(task)
    await until(() => engine.outcomes.length === 1)

    t.strictSame(engine.outcomes, [{ state: 'cancelled', reason: REASON }])
    t.match(run, { state: 'cancelled', attempt: 1, error: REASON })
  })
}

t.test('R5: a durable run that is cancelled while a local engine holds it starts neither here nor in the next process', async (t) => {
  const task = recorder('task')
  const { app, engine } = await createDurableApp(t, { tasks: [task], local: true })
  let run!: background.TaskRun
  const reply = latch<{ reply: FastifyReply }>()
  const go = latch()
  app.get('/', async (_, current) => {
    current.hijack()
    run = current.background.addTask(task)
    reply.open({ reply: current })
    await go
    current.raw.end('ok')
  })
  const answer = app.inject('/')
  await reply
  await run.stored()
  t.equal(run.state, 'queued')
  t.equal(run.cancel(REASON), true)
  go.open()
  await answer
  await until(() => engine.memory.entries.get(run.id)?.state === 'cancelled')
  await app.close()
  const next = await createDurableApp(t, { tasks: [task], local: true, memory: engine.memory })
  await next.app.ready()
  await manyTurns()

  t.strictSame(task.calls, [])
  t.strictSame(engine.released, [])
})

t.test('R5: a durable run that is cancelled before a local engine has come to it does not start', async (t) => {
  const task = recorder('task')
  const { app, engine } = await createDurableApp(t, { tasks: [task], local: true })
  const run = app.background.addTask(task)
  await run.stored()
  await until(() => engine.released.length === 1)
  t.equal(await app.background.cancel(run.id), true)
  await app.ready()
  await manyTurns()

  t.strictSame(task.calls, [])
  t.match(run, { state: 'cancelled', attempt: 0 })
  t.match(engine.memory.entries.get(run.id), { state: 'cancelled' })
})

t.test('R5: a durable run that waits for a slot with a delivery is cancelled with it', async (t) => {
  const task = recorder('task')
  const { app, engine } = await createDurableApp(t, { tasks: [task], concurrency: 1 })
  const go = latch()
  const busy = app.background.addTask(() => go)
  await app.ready()
  const run = app.background.addTask(task)
  await until(() => run.state === 'queued' && engine.memory.entries.get(run.id)?.state === 'active')
  t.equal(busy.state, 'active')
  t.equal(run.cancel(REASON), true)
  await until(() => engine.outcomes.length === 1)
  go.open()
  await app.background.idle()

  t.strictSame(engine.outcomes, [{ state: 'cancelled', reason: REASON }])
  t.strictSame(task.calls, [])
})

for (const [what, away] of [
  ['is away', () => { throw new Error('away') }],
  ['does not answer', never]
] as const) {
  t.test(`D7: where the engine ${what} when a run is cancelled, the log says that it may still run`, async (t) => {
    const task = recorder('task')
    const { app, engine, lines } = await createDurableApp(t, { tasks: [task], local: true, storeTimeout: 5 })
    engine.gates.cancel = away
    const run = app.background.addTask(task)
    await run.stored()
    t.equal(run.cancel(Object.create(null)), true)
    await until(() => lines.some(({ level }) => level === 40))

    t.match(lines.filter(({ level }) => level === 40), [{
      msg: 'background task cancelled, but its engine may still run it', task: 'task', taskId: run.id, err: { message: String }
    }])
  })
}
