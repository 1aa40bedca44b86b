import t, { type Test } from 'tap'
import type { FastifyInstance } from 'fastify'
import background from '../lib/index'
import { createApp } from './helpers/app'
import { counts } from './helpers/counts'
import { createDurableApp, durable, recorder } from './helpers/durable'
import { latch, until } from './helpers/latch'
import { Memory } from './helpers/memory-engine'
import { failing, AT_ONCE } from './helpers/policies'
import { manyTurns } from './helpers/reply'
import { serve } from './helpers/serve'
import { EVENTS, watch } from './helpers/task-events'

/** Sees to it that the books are right at every event of the application. Returns how often they were looked at. */
function audit (t: Test, app: FastifyInstance): () => number {
  let looks = 0
  for (const name of EVENTS) {
    watch(t, name, (event) => {
      if (event.background !== app.background) return
      looks++
      const { accepted, ...others } = app.background.stats()
      const sum = Object.values(others).reduce((a, b) => a + b)
      if (accepted !== sum || Object.values(others).some((count) => count < 0)) t.fail(`L3 at ${name}: ${JSON.stringify({ accepted, ...others })}`)
    })
  }
  return () => looks
}

t.test('a durable run is queued, then stored, and active when this process takes it up', async (t) => {
  const go = latch()
  const task = durable('task', () => go)
  const { app, engine } = await createDurableApp(t, { tasks: [task] })
  const looks = audit(t, app)
  const run = app.background.addTask(task)
  t.equal(run.state, 'queued')
  t.strictSame(app.background.stats(), counts({ accepted: 1, queued: 1 }))
  t.equal(await run.finished(), run)
  t.equal(run.state, 'stored')
  t.strictSame([run.attempt, run.startedAt, run.finishedAt], [0, undefined, undefined])
  t.strictSame(app.background.stats(), counts({ accepted: 1, stored: 1 }))

  await app.ready()
  await until(() => run.state === 'active')
  t.strictSame(app.background.stats(), counts({ accepted: 1, active: 1 }))
  let over = false
  const finished = run.finished().then(() => { over = true })
  await manyTurns()
  t.notOk(over, 'finished() speaks of what is to come')
  go.open()
  await finished
  t.match(run, { state: 'completed', attempt: 1, startedAt: Number, finishedAt: Number })
  await until(() => engine.outcomes.length === 1)
  t.strictSame(app.background.stats(), counts({ accepted: 1, completed: 1 }))
  t.ok(looks() >= 3)
})

t.test('a durable run of a local engine stays queued until it starts', async (t) => {
  const task = recorder('task')
  const { app } = await createDurableApp(t, { tasks: [task], local: true })
  const run = app.background.addTask(task, 'argument')
  await run.stored()
  t.equal(run.state, 'queued')
  t.strictSame(app.background.stats(), counts({ accepted: 1, queued: 1 }))
  await app.ready()
  await app.background.idle()

  t.equal(run.state, 'completed')
  t.strictSame(task.calls, [['argument']])
})

for (const local of [true, false]) {
  t.test(`L3: the books are right at every moment, with a ${local ? 'local' : 'remote'} engine`, async (t) => {
    const tasks = [
      recorder('completes'),
      durable('fails', () => { throw new Error('broken') }),
      durable('retries', failing(2), { retries: 2, backoff: AT_ONCE }),
      durable('discarded', () => {}, { when: 'error' }),
      durable('refused', () => {}, { when () { throw new Error('no condition') } }),
      durable('cancelled', function () { app.background.get(this.id)!.cancel() })
    ] as background.TaskDefinition[]
    const { app, engine } = await createDurableApp(t, { tasks, local, concurrency: 2 })
    const looks = audit(t, app)
    await serve(app, (reply) => {
      for (const task of [...tasks, ...tasks]) reply.background.addTask(task)
      reply.background.addTask(() => {})
    })
    await until(() => engine.names.length === 8)
    await until(() => [...engine.memory.entries.values()].every(({ finishedAt }) => finishedAt !== undefined))
    await app.background.idle()

    t.strictSame(app.background.stats(), counts({ accepted: 13, completed: 5, failed: 4, discarded: 2, cancelled: 2 }))
    t.strictSame(await engine.counts(), { queued: 0, active: 0, retrying: 0, completed: 4, failed: 2, cancelled: 2 })
    t.ok(looks() > 20)
  })
}

t.test('a run that waits for its next attempt is stored, where another process may make it', async (t) => {
  const task = durable('task', failing(1), { retries: 1, backoff: { delay: 5, jitter: false } })
  const { app, engine } = await createDurableApp(t, { tasks: [task] })
  const states: string[] = []
  watch(t, 'retrying', ({ run }) => { states.push(run.state) })
  await app.ready()
  const run = app.background.addTask(task)
  await until(() => engine.outcomes.length === 1)
  t.equal(run.state, 'stored')
  t.match(run.error, { message: 'broken in attempt 1' })
  await until(() => run.state === 'completed')

  t.strictSame([run.attempt, run.result, run.error], [2, 2, undefined])
  t.strictSame(states, ['retrying'])
  t.match(engine.outcomes, [{ state: 'failed', retryIn: 5 }, { state: 'completed', result: 2 }])
})

t.test('L3: idle(), maxPending and size leave stored runs out', async (t) => {
  const task = recorder('task')
  const { app } = await createDurableApp(t, { tasks: [task], worker: false, maxPending: 1 })
  let size: number | undefined
  await serve(app, async (reply) => {
    reply.background.addTask(task)
    t.equal(reply.background.size, 1)
    t.throws(() => reply.background.addTask(task), { code: 'FST_ERR_BACKGROUND_QUEUE_FULL' })
    reply.raw.on('finish', () => { size = reply.background.size })
  })
  await app.background.idle()
  await app.background.addTask(task).stored()
  await app.background.idle()

  t.equal(size, 0)
  t.strictSame(app.background.stats(), counts({ accepted: 2, stored: 2 }))
  t.strictSame(task.calls, [])
})

t.test('get() and find() know a run in each of its states', async (t) => {
  const go = latch()
  const task = durable('task', () => go)
  const { app } = await createDurableApp(t, { tasks: [task] })
  const { background } = app
  const run = background.addTask(task)
  const { id, queuedAt } = run
  t.equal(background.get(id), run)
  t.match(await background.find(id), { id, name: 'task', state: 'queued', attempt: 0, queuedAt })
  await run.stored()
  t.equal(background.get(id), undefined)
  t.match(await background.find(id), { id, name: 'task', state: 'queued', attempt: 0, startedAt: undefined })
  await app.ready()
  await until(() => run.state === 'active')
  t.equal(background.get(id), run)
  t.match(await background.find(id), { state: 'active', attempt: 1, startedAt: run.startedAt })
  const finished = run.finished()
  go.open()
  await finished
  t.equal(background.get(id), undefined)
  await until(() => run.state === 'completed')
  t.match(await background.find(id), { id, name: 'task', state: 'completed', attempt: 1, finishedAt: Number })

  t.equal(await background.find('unknown'), undefined)
  t.equal(await background.cancel('unknown'), false)
})

t.test('find() and cancel() do without an engine', async (t) => {
  const app = await createApp(t)
  t.equal(await app.background.find('unknown'), undefined)
  t.equal(await app.background.cancel('unknown'), false)
})

t.test('a task that another process has stored runs here, with the request that it came from in the log', async (t) => {
  const memory = new Memory()
  const task = durable('task', function (argument: string) {
    this.log.info('at work')
    return argument.length
  })
  const adding = await createDurableApp(t, { tasks: [task], memory, worker: false })
  const working = await createDurableApp(t, { tasks: [task], memory })
  await working.app.ready()
  let run!: background.TaskRun
  await serve(adding.app, (reply) => { run = reply.background.addTask(task, 'argument') })
  await until(() => working.engine.outcomes.length === 1)
  await adding.app.background.addTask(task, '').stored()
  await until(() => working.engine.outcomes.length === 2)

  t.strictSame(working.engine.outcomes, [{ state: 'completed', result: 8 }, { state: 'completed', result: 0 }])
  t.match(working.lines.filter(({ msg }) => msg === 'at work'), [
    { task: 'task', taskId: run.id, reqId: 'req-1' }, { task: 'task', reqId: undefined }
  ])
  t.equal(run.state, 'stored')
  t.strictSame(adding.app.background.stats(), counts({ accepted: 2, stored: 2 }))
  t.strictSame(working.app.background.stats(), counts({ accepted: 2, completed: 2 }))
  t.match(await adding.app.background.find(run.id), { state: 'completed', result: 8 })
})

t.test('a process that only stores need not have the tasks', async (t) => {
  const memory = new Memory()
  const task = recorder('task')
  const adding = await createDurableApp(t, { memory, worker: false })
  const working = await createDurableApp(t, { tasks: [task], memory })
  await working.app.ready()
  await adding.app.background.addTask(durable('task', () => {}) as background.TaskFunction<[number]>, 1).stored()
  await until(() => task.calls.length === 1)

  t.strictSame(task.calls, [[1]])
  t.strictSame(adding.engine.calls, ['open'])
})

t.test('what a task says of its progress goes to its engine, while its attempt counts', async (t) => {
  const task = durable('task', function () {
    this.progress({ value: 0.5, message: 'half' })
    t.ok(app.background.get(this.id)?.cancel())
    this.progress(0.9)
  })
  const { app, engine } = await createDurableApp(t, { tasks: [task], local: true })
  const told: unknown[] = []
  t.teardown(engine.watch(({ progress }) => { if (progress !== undefined) told.push(progress) }))
  await app.ready()
  await app.background.addTask(task).finished()

  t.match(told, [{ value: 0.5, message: 'half' }])
  t.equal(told.length, 1)
})
