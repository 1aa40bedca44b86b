import { AsyncLocalStorage } from 'node:async_hooks'
import t from 'tap'
import background from '../lib/index'
import { memoryLogger } from './helpers/app'
import { counts } from './helpers/counts'
import { latch, turn, until } from './helpers/latch'
import { createDurableApp } from './helpers/memory-engine'
import { failing, IN_A_MINUTE, never } from './helpers/policies'
import { manyTurns } from './helpers/reply'
import { serve } from './helpers/serve'
import { record } from './helpers/task-events'
import { unhandledRejections } from './helpers/unhandled'

const { defineTask, RetryAfterError, UnrecoverableError } = background

const echo = defineTask((value: number) => value, { name: 'echo', durable: true })
const refuse = async (): Promise<never> => { throw new Error('the disk is full') }

t.test('a durable run is stored, and then no longer this process\'s: finished() and idle() resolve', async (t) => {
  const { app, engine } = await createDurableApp(t, [echo])
  const run = app.background.addTask(echo, 1)
  const states = [run.state]
  await run.stored()
  states.push(run.state)
  await run.finished()
  await app.background.idle()

  t.strictSame(states, ['queued', 'stored'])
  t.match(engine.only, { id: run.id, name: 'echo', args: [1], retries: 0, queuedAt: run.queuedAt })
  t.strictSame(app.background.stats(), counts({ accepted: 1, stored: 1 }))
})

t.test('a stored run that comes back to its process goes on where it is held', async (t) => {
  const { app, engine } = await createDurableApp(t, [echo])
  await app.ready()
  const run = app.background.addTask(echo, 1)
  await run.stored()
  const outcome = engine.deliver(engine.only)
  t.equal(run.state, 'queued')
  t.equal(app.background.get(run.id), run)
  const finished = run.finished()

  t.strictSame(await outcome, { state: 'completed', result: 1 })
  t.equal(await finished, run)
  t.match(run, { state: 'completed', result: 1, attempt: 1 })
  t.strictSame(app.background.stats(), counts({ accepted: 1, completed: 1 }))
  t.equal(app.background.get(run.id), undefined)
})

t.test('a task that was stored elsewhere is run, counted and logged here', async (t) => {
  const { logger, lines } = memoryLogger('info')
  const said = defineTask(function (word: string) { this.log.info(word) }, { name: 'say', durable: true })
  const { app, engine } = await createDurableApp(t, [said], {}, { logger })
  await app.ready()
  const task = { id: 'an-id', name: 'say', args: ['hello'], reqId: 'req-of-elsewhere', meta: {}, retries: 0, queuedAt: 1 }
  t.match(await engine.deliver(task), { state: 'completed' })

  t.match(lines.at(-1), { msg: 'hello', reqId: 'req-of-elsewhere', task: 'say', taskId: 'an-id' })
  t.strictSame(app.background.stats(), counts({ accepted: 1, completed: 1 }))
})

for (const local of [true, false]) {
  t.test(`R3: an attempt that fails goes back to the engine with the wait for the next (local: ${local})`, async (t) => {
    const { logger, lines } = memoryLogger('warn')
    const flaky = defineTask(failing(1), { name: 'flaky', durable: true, retries: 2, backoff: IN_A_MINUTE })
    const { app, engine } = await createDurableApp(t, [flaky], { local }, { logger })
    const { lines: events } = record(t, app)
    const run = app.background.addTask(flaky)
    await run.stored()
    const { only } = engine
    t.equal(only.retries, 2)
    t.match(await engine.deliver(only), { state: 'failed', error: { message: 'broken in attempt 1' }, retryIn: 60_000 })
    t.match(run, { state: local ? 'retrying' : 'stored', attempt: 1, error: { message: 'broken in attempt 1' } })
    t.match(lines, [{ msg: 'background task failed, to be tried again in 60000 ms', task: 'flaky', attempt: 1 }])

    t.strictSame(await engine.deliver(only, { attempt: 2 }), { state: 'completed', result: 2 })
    t.match(run, { state: 'completed', attempt: 2, error: undefined })
    t.strictSame(app.background.stats(), counts({ accepted: 1, completed: 1 }))
    t.strictSame(events().filter((line) => /^(error|retrying)/.test(line)), ['error retrying', `retrying ${local ? 'retrying' : 'stored'}`])
  })
}

t.test('R3: what a task throws decides on the next attempt: RetryAfterError, UnrecoverableError, the last one', async (t) => {
  const errors = [new RetryAfterError(7), new UnrecoverableError('no'), new Error('last')]
  const throwing = defineTask((i: number) => { throw errors[i] }, { name: 'throwing', durable: true, retries: 1 })
  const { app, engine } = await createDurableApp(t, [throwing])
  const outcomes: unknown[] = []
  for (const [i, attempt] of [[0, 1], [1, 1], [2, 2]]) {
    await app.background.addTask(throwing, i).stored()
    outcomes.push(await engine.deliver(engine.only, { attempt }))
    engine.tasks.clear()
  }

  t.strictSame(outcomes, [
    { state: 'failed', error: errors[0], retryIn: 7 }, { state: 'failed', error: errors[1] }, { state: 'failed', error: errors[2] }
  ])
})

t.test('R3: how often a stored task is tried was decided when it was stored', async (t) => {
  const now = defineTask(failing(9), { name: 'task', durable: true, retries: 5 })
  const { app, engine } = await createDurableApp(t, [now])
  await app.ready()

  t.match(await engine.deliver({ id: 'an-id', name: 'task', args: [], meta: {}, retries: 1, queuedAt: 1 }, { attempt: 2 }), { state: 'failed', retryIn: undefined })
})

t.test('R5: a durable attempt has its time-out', async (t) => {
  const hangs = defineTask(never, { name: 'hangs', durable: true, timeout: 5 })
  const { app, engine } = await createDurableApp(t, [hangs], { local: true })
  const run = app.background.addTask(hangs)
  await run.stored()

  t.match(await engine.deliver(engine.only), { state: 'failed', error: { code: 'FST_ERR_BACKGROUND_TASK_TIMEOUT' } })
  t.equal(run.state, 'failed')
})

t.test('progress goes to the engine, too', async (t) => {
  const steps: unknown[] = []
  const task = defineTask(function () { this.progress(0.5) }, { name: 'task', durable: true })
  const { app, engine } = await createDurableApp(t, [task])
  await app.background.addTask(task).stored()
  await engine.deliver(engine.only, { progress: (progress) => { steps.push(progress) } })

  t.match(steps, [{ value: 0.5 }])
})

t.test('R2: runs that an engine delivers take slots of the application', async (t) => {
  const go = latch()
  const waits = defineTask(() => go, { name: 'waits', durable: true })
  const { app, engine } = await createDurableApp(t, [waits], { concurrency: 1, local: true })
  const runs = [app.background.addTask(waits), app.background.addTask(waits)]
  await Promise.all(runs.map((run) => run.stored()))
  const outcomes = [...engine.tasks.values()].map((task) => engine.deliver(task))
  await manyTurns()
  t.strictSame(runs.map(({ state }) => state), ['active', 'queued'])
  go.open()

  t.match(await Promise.all(outcomes), [{ state: 'completed' }, { state: 'completed' }])
})

t.test('R4: a run that its process takes up again sees the stores of the place that added it', async (t) => {
  const store = new AsyncLocalStorage<string>()
  const seen: unknown[] = []
  const look = defineTask(() => { seen.push(store.getStore()) }, { name: 'look', durable: true })
  const { app, engine } = await createDurableApp(t, [look], { local: true })
  await store.run('place', () => app.background.addTask(look)).stored()
  await store.run('engine', () => engine.deliver(engine.only))

  t.strictSame(seen, ['place'])
})

t.test('D1: stored() resolves with the run, at whatever time it is asked', async (t) => {
  const { app, engine } = await createDurableApp(t, [echo])
  const run = app.background.addTask(echo, 1)
  const early = run.stored()
  t.equal(run.stored(), early)
  t.equal(await early, run)
  const late = app.background.addTask(echo, 2)
  await until(() => late.state === 'stored')

  t.equal(await late.stored(), late)
  t.strictSame(engine.stores, [['echo'], ['echo']])
})

t.test('D1: stored() rejects where the run could not be stored; unread, it is reported all the same', async (t) => {
  const unhandled = unhandledRejections(t)
  const reported: unknown[] = []
  const { app, engine } = await createDurableApp(t, [echo], { onTaskError: (error) => { reported.push(error) } })
  engine.onStore = refuse
  const [unread, early, late] = [1, 2, 3].map((value) => app.background.addTask(echo, value))
  const error = { code: 'FST_ERR_BACKGROUND_STORE_FAILED', message: /"echo" could not be stored: the disk is full/ }
  await t.rejects(early.stored(), error)
  await t.rejects(late.stored(), error)
  await turn()

  t.equal(unread.state, 'failed')
  t.match(reported, [error, error, error])
  t.strictSame(unhandled, [])
})

t.test('D1: a run that is not durable has no store to wait for', async (t) => {
  const { app } = await createDurableApp(t, [echo])
  await t.rejects(app.background.addTask(() => {}).stored(), { code: 'FST_ERR_BACKGROUND_NO_ENGINE' })
})

t.test('T3: durable runs of a reply do not hold up those in the process', async (t) => {
  const { app } = await createDurableApp(t, [echo], { local: true })
  const ran: string[] = []
  await serve(app, (reply) => {
    reply.background.addTask(echo, 1)
    reply.background.addTask(() => { ran.push('plain') })
  })
  await until(() => ran.length > 0)

  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 1, queued: 1 }))
})
