import { randomUUID } from 'node:crypto'
import t, { type Test } from 'tap'
import background from '../lib/index'
import { counts } from './helpers/counts'
import { createDurableApp, durable, recorder } from './helpers/durable'
import { latch, until } from './helpers/latch'
import { failing, never } from './helpers/policies'
import { manyTurns } from './helpers/reply'
import { serve } from './helpers/serve'

const { RetryAfterError, UnrecoverableError } = background

t.test('D3: arguments that are not JSON are refused at the call, by their path, and nothing is accepted', async (t) => {
  const task = recorder('task')
  const { app, engine } = await createDurableApp(t, { tasks: [task] })
  const refused = (path: string, got: string): { code: string, message: string } => ({
    code: 'FST_ERR_BACKGROUND_ARGS_NOT_SERIALIZABLE', message: `Background task "task": ${path} has to be JSON, got ${got}`
  })
  const { BackgroundTask } = background
  await serve(app, (reply) => {
    t.throws(() => reply.background.addTask(task, 'a', { callback () {} }), refused('args[1].callback', 'a function'))
    t.throws(() => reply.background.addTask(new BackgroundTask(task, new Date())), refused('args[0]', 'an instance of Date'))
    t.throws(() => reply.background.addTasks([new BackgroundTask(task, 1), new BackgroundTask(task, [1n])]), refused('args[0][0]', 'bigint 1'))
    t.throws(() => app.background.addTask(task, JSON.parse('{"__proto__": {}}')), refused('args[0].__proto__', 'a key that poisons prototypes'))
  })

  t.strictSame(app.background.stats(), counts())
  t.strictSame(engine.stores, [])
})

t.test('D3: arguments over maxArgsSize are refused at the call', async (t) => {
  const task = recorder('task')
  const { app } = await createDurableApp(t, { tasks: [task], maxArgsSize: 5 })
  await app.ready()
  app.background.addTask(task, 1)
  t.throws(() => app.background.addTask(task, 'four'), { code: 'FST_ERR_BACKGROUND_ARGS_TOO_LARGE', message: /are 8 bytes of JSON, maxArgsSize is 5/ })
  await until(() => task.calls.length === 1)
})

t.test('D3: a task gets its arguments as they were when it was added, and as JSON has them', async (t) => {
  const task = recorder('task')
  const { app } = await createDurableApp(t, { tasks: [task], local: true })
  await app.ready()
  const argument = { list: [1], none: undefined }
  app.background.addTask(task, argument, undefined)
  argument.list.push(2)
  await until(() => task.calls.length === 1)

  t.strictSame(task.calls, [[{ list: [1] }]])
})

t.test('D4: a task of an unknown name is left to others, and fails visibly when its grace is over', async (t) => {
  const { app, engine, lines, errors } = await createDurableApp(t, { unknownTaskGrace: 60_000 })
  const [young, old] = [randomUUID(), randomUUID()]
  engine.put({ id: young, name: 'unknown', queuedAt: Date.now() - 59_000 })
  engine.put({ id: old, name: 'unknown', queuedAt: Date.now() - 60_001, reqId: 'req-7' })
  engine.put({ id: randomUUID(), name: 'unknown' })
  await app.ready()
  await until(() => engine.outcomes.length === 3)

  t.match(engine.outcomes, [
    { state: 'returned', delay: Number }, { state: 'failed', error: { code: 'FST_ERR_BACKGROUND_UNKNOWN_TASK' } }, { state: 'returned', delay: 10_000 }
  ])
  const { delay } = engine.outcomes[0] as { delay: number }
  t.ok(delay > 0 && delay <= 1_000, 'no longer than the grace that is left')
  t.match(await app.background.find(young), { state: 'queued', attempt: 0 })
  t.match(await app.background.find(old), { state: 'failed' })
  t.match(lines.filter(({ level }) => level === 50), [{ task: 'unknown', taskId: old, reqId: 'req-7', err: { code: 'FST_ERR_BACKGROUND_UNKNOWN_TASK' } }])
  t.match(errors.map(([, { id, name, state }]) => [id, name, state]), [[old, 'unknown', 'failed']])
  t.strictSame(app.background.stats(), counts({ accepted: 1, failed: 1 }))
})

t.test('D4: a broken payload fails at once, and the worker goes on', async (t) => {
  const task = recorder('task')
  const { app, engine, errors } = await createDurableApp(t, { tasks: [task] })
  for (const args of [null, [{ constructor: { prototype: {} } }], [1]]) engine.put({ id: randomUUID(), name: 'task', args: args as [] })
  await app.ready()
  await until(() => engine.outcomes.length === 3)

  t.match(engine.outcomes, [{ state: 'failed' }, { state: 'failed' }, { state: 'completed' }])
  t.match(errors.map(([error]) => error), [
    { code: 'FST_ERR_BACKGROUND_ARGS_NOT_SERIALIZABLE', message: /: args has to be JSON, got null/ },
    { code: 'FST_ERR_BACKGROUND_ARGS_NOT_SERIALIZABLE', message: /args\[0\]\.constructor/ }
  ])
  t.strictSame(task.calls, [[1]])
})

t.test('D6: a task whose process died is started again, but not more than maxRestarts times', async (t) => {
  const task = recorder('task')
  const { app, engine, errors } = await createDurableApp(t, { tasks: [task], maxRestarts: 2 })
  engine.put({ id: randomUUID(), name: 'task', args: ['twice'] }, { restarts: 2 })
  engine.put({ id: randomUUID(), name: 'task', args: ['too often'], retries: 9 }, { restarts: 3 })
  await app.ready()
  await until(() => engine.outcomes.length === 2)

  t.match(engine.outcomes.map(({ state }) => state).sort(), ['completed', 'failed'])
  t.strictSame(task.calls, [['twice']])
  t.match(errors.map(([error]) => error), [{ code: 'FST_ERR_BACKGROUND_TOO_MANY_RESTARTS', message: 'Background task "task": its process died at it 3 times' }])
})

t.test('D6: a task that was added here and died elsewhere fails as the run that it is', async (t) => {
  const task = recorder('task')
  const { app, engine, errors } = await createDurableApp(t, { tasks: [task], maxRestarts: 0 })
  const run = app.background.addTask(task)
  await run.stored()
  engine.memory.entries.get(run.id)!.restarts = 1
  await app.ready()
  await until(() => engine.outcomes.length === 1)

  t.equal(run.state, 'failed')
  t.strictSame(errors, [[run.error, run]])
  t.strictSame(app.background.stats(), counts({ accepted: 1, failed: 1 }))
  t.strictSame(task.calls, [])
})

t.test('D6: restarts are apart from retries', async (t) => {
  const { app, engine } = await createDurableApp(t, { tasks: [durable('task', failing(2), { retries: 2, backoff: { delay: 0 } })], maxRestarts: 1 })
  engine.put({ id: randomUUID(), name: 'task', retries: 2 }, { restarts: 1 })
  await app.ready()
  await until(() => engine.outcomes.length === 3)

  t.match(engine.outcomes, [{ state: 'failed', retryIn: 0 }, { state: 'failed', retryIn: 0 }, { state: 'completed', result: 3 }])
})

for (const local of [true, false]) {
  t.test(`R3: policies hold for durable runs, with a ${local ? 'local' : 'remote'} engine`, async (t) => {
    const tasks = {
      late: durable('late', never, { timeout: 2 }),
      again: durable('again', function () { if (this.attempt === 1) throw new RetryAfterError(3); return this.attempt }, { retries: 1 }),
      never: durable('never', () => { throw new UnrecoverableError('no use') }, { retries: 5 }),
      often: durable('often', failing(9), { retries: 2, backoff: { delay: 1, jitter: false, factor: 1 } })
    }
    const { app, engine, lines, errors } = await createDurableApp(t, { tasks: Object.values(tasks), local })
    await app.ready()
    const runs = Object.values(tasks).map((task) => app.background.addTask(task as background.TaskDefinition<[]>))
    await until(() => engine.outcomes.length === 7)

    t.strictSame(runs.map(({ name, state, attempt }) => [name, state, attempt]),
      [['late', 'failed', 1], ['again', 'completed', 2], ['never', 'failed', 1], ['often', 'failed', 3]])
    t.match(runs[0].error, { code: 'FST_ERR_BACKGROUND_TASK_TIMEOUT' })
    const waits = engine.outcomes.flatMap((outcome) => outcome.state === 'failed' ? outcome.retryIn ?? [] : [])
    t.strictSame(waits.sort(), [1, 1, 3])
    t.strictSame(errors.map(([, { name }]) => name).sort(), ['late', 'never', 'often'])
    t.match(lines.filter(({ level }) => level === 40).map(({ task, attempt, msg }) => `${task} ${attempt} ${msg}`).sort(), [
      'again 1 background task failed, to be tried again in 3 ms',
      'often 1 background task failed, to be tried again in 1 ms', 'often 2 background task failed, to be tried again in 1 ms'
    ])
  })
}

for (const local of [true, false]) {
  t.test(`a task is what this process has under its name, with a ${local ? 'local' : 'remote'} engine`, async (t) => {
    const task = recorder('task')
    const { app } = await createDurableApp(t, { tasks: [task], local })
    await app.ready()
    app.background.addTask(durable('task', (argument: string) => { t.fail(argument) }), 'by name')
    await until(() => task.calls.length === 1)

    t.strictSame(task.calls, [['by name']])
  })
}

t.test('R3: retries are those that a task was stored with, whatever this process has', async (t) => {
  const { app, engine } = await createDurableApp(t, { tasks: [durable('task', failing(9), { retries: 9, backoff: { delay: 0 } })] })
  engine.put({ id: randomUUID(), name: 'task', retries: 1 })
  await app.ready()
  await until(() => engine.outcomes.length === 2)
  await manyTurns()

  t.match(engine.outcomes.map((outcome) => 'retryIn' in outcome), [true, false])
})

/** A task that is delivered before the engine says that it is stored, which it does when `go` is opened. */
async function deliveredEarly (t: Test) {
  const task = recorder('task')
  const { app, engine } = await createDurableApp(t, { tasks: [task] })
  const go = latch()
  engine.gates.stored = () => go
  await app.ready()
  const run = app.background.addTask(task)
  await until(() => engine.memory.entries.get(run.id)?.state === 'active')
  return { task, app, engine, go, run }
}

t.test('D2: a task that is delivered before the engine says that it is stored runs once, as its run', async (t) => {
  const { task, app, go, run } = await deliveredEarly(t)
  await manyTurns()
  t.equal(run.state, 'queued')
  go.open()
  t.equal(await run.stored(), run)
  await until(() => run.state === 'completed')

  t.equal(task.calls.length, 1)
  t.strictSame(app.background.stats(), counts({ accepted: 1, completed: 1 }))
})

t.test('R5: a task that is delivered before it is stored and cancelled meanwhile does not run', async (t) => {
  const { task, engine, go, run } = await deliveredEarly(t)
  run.cancel('no longer wanted')
  go.open()
  await until(() => engine.outcomes.length === 1)
  await until(() => engine.memory.entries.get(run.id)?.state === 'cancelled')

  t.strictSame(engine.outcomes, [{ state: 'cancelled', reason: 'no longer wanted' }])
  t.strictSame(task.calls, [])
})

t.test('D2: of a task that an engine delivers twice, the end of one run leaves the other known', async (t) => {
  const ends = [latch(), latch()]
  let starts = 0
  const { app, engine } = await createDurableApp(t, { tasks: [durable('task', () => ends[starts++])] })
  const id = randomUUID()
  engine.put({ id, name: 'task' })
  await app.ready()
  await until(() => starts === 1)
  engine.memory.entries.get(id)!.at = undefined
  engine.memory.entries.get(id)!.state = 'queued'
  engine.look()
  await until(() => starts === 2)
  const second = app.background.get(id)
  ends[0].open()
  await until(() => app.background.stats().completed === 1)
  t.equal(app.background.get(id), second)
  ends[1].open()
  await app.background.idle()

  t.equal(app.background.get(id), undefined)
})
