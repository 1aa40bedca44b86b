import { channel } from 'node:diagnostics_channel'
import t from 'tap'
import type { FastifyInstance } from 'fastify'
import type { Background } from '../lib/background'
import type { History } from '../lib/history'
import background from '../lib/index'
import { createApp } from './helpers/app'
import { createDurableApp, durable } from './helpers/durable'
import { assertCollected, ask, use } from './helpers/held'
import { latch, turn, until } from './helpers/latch'
import { Memory } from './helpers/memory-engine'
import { serve } from './helpers/serve'

const CHANNELS = ['queued', 'taken', 'finished'].map((name) => `fastify.background.task.${name}`)

t.test('history: a finished run is found by its id while it is kept', async (t) => {
  const app = await createApp(t, { history: {} })
  const run = app.background.addTask(() => 42)
  const { id } = await run.finished()

  t.equal(app.background.get(id), run)
  t.match(await app.background.find(id), { id, state: 'completed', result: 42 })
  t.equal(await app.background.cancel(id), false)
})

t.test('history: without the option a finished run is forgotten, and nobody listens to the channels', async (t) => {
  const app = await createApp(t)
  const { id } = await app.background.addTask(() => {}).finished()

  t.equal(app.background.get(id), undefined)
  t.equal(await app.background.find(id), undefined)
  for (const name of CHANNELS) t.notOk(channel(name).hasSubscribers, name)
})

t.test('history: whatever way a run comes to its end, it is kept once', async (t) => {
  const app = await createApp(t, { history: {}, retries: 1, backoff: { delay: 0 } })
  const go = latch()
  const fail = (): void => { throw new Error('broken') }
  const broken = background.defineTask(() => {}, { name: 'broken', when: fail as () => boolean })
  const never = background.defineTask(() => {}, { name: 'never', when: 'error' })
  const runs: background.TaskRun[] = []
  await serve(app, (reply) => {
    for (const task of [() => {}, async () => { await turn() }, fail, broken, never, () => go]) runs.push(reply.background.addTask(task))
  })
  await until(() => runs[5].state === 'active')
  runs[5].cancel()
  await app.background.idle()

  t.strictSame(runs.map(({ state }) => state), ['completed', 'completed', 'failed', 'failed', 'discarded', 'cancelled'])
  for (const run of runs) t.equal(app.background.get(run.id), run)
  t.equal(kept(app).length, 6)
})

t.test('history: no more are kept than its count, the last that finished', async (t) => {
  const app = await createApp(t, { history: { count: 2 } })
  const runs = []
  for (let i = 0; i < 4; i++) runs.push(await app.background.addTask(() => {}).finished())

  t.strictSame(runs.map(({ id }) => app.background.get(id) !== undefined), [false, false, true, true])
  t.equal(app.background.stats().completed, 4)
})

t.test('history: with a count or an age of 0 nothing is kept', async (t) => {
  for (const history of [{ count: 0 }, { age: 0 }]) {
    const app = await createApp(t, { history })
    const { id } = await app.background.addTask(() => {}).finished()
    t.equal(app.background.get(id), undefined)
  }
})

t.test('L4: the history lets go of what is older than its age, without a timer', async (t) => {
  const app = await createApp(t, { history: { age: 1_000 } })
  const { id, finishedAt } = await app.background.addTask(() => {}).finished()
  const { now } = Date
  t.teardown(() => { Date.now = now })

  Date.now = () => finishedAt! + 999
  t.ok(app.background.get(id))
  t.equal(kept(app).length, 1)
  Date.now = () => finishedAt! + 1_000
  t.equal(kept(app).length, 0)
  t.equal(app.background.get(id), undefined)
  Date.now = () => finishedAt! + 999
  t.equal(app.background.get(id), undefined, 'it does not come back')
  t.notOk(process.getActiveResourcesInfo().includes('Timeout'))
})

t.test('history: unfinished runs are in the order in which they came, finished ones in that of their ends', async (t) => {
  const app = await createApp(t, { history: {} })
  const [first, second] = [latch(), latch()]
  const a = app.background.addTask(() => second)
  const b = app.background.addTask(() => first)
  const history = historyOf(app)

  t.strictSame([...history.unfinished], [a, b])
  t.strictSame([...history.finished], [])
  t.equal(history.get(a.id), undefined, 'an unfinished one is with the ledger')
  first.open()
  await b.finished()
  t.strictSame([[...history.unfinished], [...history.finished]], [[a], [b]])
  second.open()
  await a.finished()
  t.strictSame([[...history.unfinished], [...history.finished]], [[], [b, a]])
})

t.test('history: it can be turned on later, and is the same for all who ask', async (t) => {
  const app = await createApp(t)
  const history = historyOf(app)
  const { id } = await app.background.addTask(() => {}).finished()

  t.equal(historyOf(app), history)
  t.equal(history.get(id)?.id, id)
})

t.test('history: runs of another application are not in it', async (t) => {
  const app = await createApp(t, { history: {} })
  const other = await createApp(t, { history: {} })
  const { id } = await other.background.addTask(() => {}).finished()

  t.equal(app.background.get(id), undefined)
  t.strictSame(kept(app), [])
})

t.test('history: what shutdown ended is kept, and a closed application listens no more', async (t) => {
  const app = await createApp(t, { history: {}, closeTimeout: 0 })
  const runs = [app.background.addTask(() => new Promise(() => {}))]
  await until(() => runs[0].state === 'active')
  runs.push(app.background.addTask(() => {}))
  await app.close()

  t.strictSame(runs.map(({ id }) => app.background.get(id)?.state), ['cancelled', 'discarded'])
  for (const name of CHANNELS) t.notOk(channel(name).hasSubscribers, name)
})

t.test('history: a run that a subscriber ended as soon as it was queued is not unfinished for ever', async (t) => {
  const cancel = (message: unknown): void => { (message as background.TaskEvent).run.cancel() }
  channel(CHANNELS[0]).subscribe(cancel)
  t.teardown(() => channel(CHANNELS[0]).unsubscribe(cancel))
  const app = await createApp(t, { history: {} })
  const run = app.background.addTask(() => {})

  t.equal(run.state, 'cancelled')
  t.strictSame(kept(app), [run])
})

t.test('R6: a kept run holds neither request, reply nor arguments', async (t) => {
  const app = await createApp(t, { history: {} })
  let id = ''
  const held = await ask(app, (reply, argument) => {
    const run = reply.background.addTask(use, argument, reply)
    id = run.id
    return [run]
  })
  await app.background.idle()

  t.equal(app.background.get(id)?.state, 'completed')
  await assertCollected(t, held)
})

t.test('history: a run that has gone to an engine is neither unfinished nor finished', async (t) => {
  const task = durable('task', () => {})
  const { app } = await createDurableApp(t, { tasks: [task], history: {}, worker: false })
  const run = app.background.addTask(task)
  t.strictSame(kept(app), [run])
  await run.stored()

  t.strictSame(kept(app), [])
  t.equal(app.background.get(run.id), undefined)
})

for (const local of [true, false]) {
  t.test(`history: a run that ${local ? 'a local' : 'a remote'} engine brings is unfinished, then finished`, async (t) => {
    const go = latch()
    const task = durable('task', () => go)
    const memory = new Memory()
    const { app, engine } = await createDurableApp(t, { tasks: [task], local, memory, history: {} })
    await app.ready()
    const id = 'b2c1d5a4-6f0e-4c0b-9f0a-1d2e3f405162'
    engine.put({ name: 'task', id })
    await until(() => kept(app)[0]?.state === 'active')
    go.open()
    await until(() => engine.outcomes.length === 1)

    t.match(kept(app), [{ id, state: 'completed' }])
    t.equal(app.background.get(id)?.state, 'completed')
  })
}

t.test('history: a failed durable run that is delivered again is unfinished, not finished', async (t) => {
  const go = latch()
  let fails = true
  const task = durable('task', async () => {
    if (fails) throw new Error('broken')
    await go
  })
  const { app, engine } = await createDurableApp(t, { tasks: [task], history: {}, local: true })
  await app.ready()
  const run = app.background.addTask(task)
  await until(() => engine.outcomes.length === 1)
  t.strictSame(kept(app), [run])

  fails = false
  await engine.retry(run.id)
  await until(() => kept(app)[0]?.state === 'active')
  t.equal(kept(app).length, 1)
  t.equal(app.background.get(run.id)?.state, 'active')
  go.open()
  await until(() => engine.outcomes.length === 2)
  t.equal(app.background.get(run.id)?.state, 'completed')
})

t.test('history: of a finished durable run the engine knows better, and the history still knows it where the engine does not', async (t) => {
  const task = durable('task', () => 'done')
  const { app, engine } = await createDurableApp(t, { tasks: [task], history: {} })
  await app.ready()
  const { id } = await app.background.addTask(task).finished()
  await until(() => engine.outcomes.length === 1)

  engine.memory.entries.get(id)!.state = 'retrying'
  t.match(await app.background.find(id), { id, state: 'retrying' })
  engine.memory.entries.delete(id)
  t.match(await app.background.find(id), { id, state: 'completed', result: 'done' })
})

t.test('history: what has ended here is known before a local engine hears of it, until that is told to deliver it again', async (t) => {
  const task = durable('task', () => { throw new Error('broken') })
  const { app, engine } = await createDurableApp(t, { tasks: [task], history: {}, local: true })
  await app.ready()
  const { id } = await app.background.addTask(task).finished()
  await until(() => engine.outcomes.length === 1)
  const entry = engine.memory.entries.get(id)!

  entry.state = 'active'
  t.match(await app.background.find(id), { id, state: 'failed' })
  t.equal(await (app.background as Background).retry(id), false)
  t.match(await app.background.find(id), { id, state: 'failed' })
  entry.state = 'failed'
  t.equal(await (app.background as Background).retry(id), true)
  t.match(await app.background.find(id), { id, state: 'queued' })
})

t.test('history: a store that was too late is known as failed, and as cancelled once its engine has done that', async (t) => {
  const task = durable('task', () => {})
  const { app, engine } = await createDurableApp(t, { tasks: [task], history: {}, local: true })
  await app.ready()
  engine.gates.stored = () => { throw new Error('too late') }
  const { id } = await app.background.addTask(task).finished()
  t.match(await app.background.find(id), { state: 'failed' })
  t.equal(await app.background.cancel(id), true)
  t.match(await app.background.find(id), { state: 'cancelled' })
})

t.test('history: an end that comes before the answer of who was asked to retry is kept', async (t) => {
  let fails = true
  const task = durable('task', () => { if (fails) throw new Error('broken') })
  const { app, engine } = await createDurableApp(t, { tasks: [task], history: {}, local: true })
  await app.ready()
  const { id } = await app.background.addTask(task).finished()
  await until(() => engine.outcomes.length === 1)
  fails = false
  const retry = engine.retry.bind(engine)
  engine.retry = async (id) => {
    await retry(id)
    await until(() => engine.outcomes.length === 2)
    return true
  }

  t.equal(await (app.background as Background).retry(id), true)
  t.equal(app.background.get(id)?.state, 'completed')
})

t.test('history: what was accepted before it is unfinished, groups included, and finishes', async (t) => {
  const app = await createApp(t)
  const go = latch()
  const wait = (): Promise<void> => go
  const runs = [app.background.addTask(wait), ...app.background.addTasks(new background.BackgroundTasks().addTask(wait).addTask(wait).addTask(wait))]
  await until(() => runs[1].state === 'active')
  runs[2].cancel()
  await serve(app, (reply) => { reply.background.addTask(wait) })
  await until(() => app.background.stats().active === 3)
  const { unfinished } = historyOf(app)

  t.strictSame([...unfinished], [runs[0], runs[1], runs[3]])
  go.open()
  await app.background.idle()
  t.strictSame([...unfinished], [])
})

t.test('history: of a run that is not durable the engine is not asked', async (t) => {
  const { app, engine } = await createDurableApp(t, { history: {} })
  engine.gates.find = () => { throw new Error('away') }
  const { id } = await app.background.addTask(() => {}).finished()

  t.match(await app.background.find(id), { state: 'completed' })
})

function historyOf (app: FastifyInstance): History {
  return (app.background as Background).keepHistory()
}

function kept (app: FastifyInstance): background.TaskRun[] {
  const { unfinished, finished } = historyOf(app)
  return [...unfinished, ...finished]
}
