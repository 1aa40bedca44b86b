import t, { type Test } from 'tap'
import background from '../lib/index'
import { createApp } from './helpers/app'
import { ask, connectTo } from './helpers/closing'
import { counts } from './helpers/counts'
import { createDurableApp, durable, recorder } from './helpers/durable'
import { latch, turn, until } from './helpers/latch'
import { Memory } from './helpers/memory-engine'
import { AT_ONCE } from './helpers/policies'
import { manyTurns } from './helpers/reply'
import { serve } from './helpers/serve'

const { BackgroundTask, BackgroundTasks, defineTask } = background
const HOUR = 3_600_000

/** An app that holds its tasks back, and would wait for long at its end. */
const createHolding = (t: Test, options: background.BackgroundOptions = {}) => createApp(t, { autorun: false, closeTimeout: HOUR, ...options })

/** What is held back, as names with arguments. */
function queued (app: { background: background.AppBackground }): unknown[][] {
  return app.background.queued.map(({ name, args }) => [name, ...args])
}

t.test('autorun: nothing starts before runAll, and queued tells which tasks wait, with which arguments', async (t) => {
  const app = await createHolding(t)
  const ran: string[] = []
  function sendEmail (to: string): void { ran.push(to) }
  const definition = defineTask(sendEmail, { name: 'send-email' })
  let runs: background.TaskRun[] = []
  await serve(app, (reply) => { runs = [reply.background.addTask(sendEmail, 'a@b.c'), reply.background.addTask(definition, 'd@e.f')] })
  runs.push(app.background.addTask(new BackgroundTask(sendEmail, 'g@h.i')))
  await manyTurns()

  t.strictSame(ran, [])
  t.strictSame(queued(app), [['sendEmail', 'a@b.c'], ['send-email', 'd@e.f'], ['sendEmail', 'g@h.i']])
  const held = app.background.queued
  t.ok(held.every(({ run }, i) => run === runs[i]))
  t.ok(held[0].task === sendEmail && held[1].task === definition)
  t.strictSame(app.background.stats(), counts({ accepted: 3, queued: 3 }))

  await app.background.runAll()
  t.strictSame(ran.sort(), ['a@b.c', 'd@e.f', 'g@h.i'])
  t.strictSame(app.background.queued, [])
  t.equal(held.length, 3, 'the list is of its moment')
  t.strictSame(app.background.stats(), counts({ accepted: 3, completed: 3 }))
})

t.test('autorun: after inject(), queued has what will run, and not what its condition leaves out', async (t) => {
  const app = await createHolding(t)
  app.get('/:status', { background: defineTask(() => {}, { name: 'route' }) }, async (request, reply) => {
    reply.background.addTask(defineTask(() => {}, { name: 'call' }))
    reply.background.addTask(defineTask(() => {}, { name: 'on error', when: 'error' }))
    reply.background.addTasks(new BackgroundTasks([defineTask(() => {}, { name: 'never', when: () => false })]))
    return reply.code(Number((request.params as { status: string }).status)).send()
  })
  await app.inject('/200')
  t.strictSame(queued(app).map(([name]) => name), ['route', 'call'])
  await app.background.runAll()
  await app.inject('/500')
  t.strictSame(queued(app), [['call'], ['on error']])
  await app.background.runAll()
  t.strictSame(app.background.stats(), counts({ accepted: 8, completed: 4, discarded: 4 }))
})

t.test('autorun: the tasks of a reply that is not over yet are held as well', async (t) => {
  const app = await createHolding(t)
  await serve(app, (reply) => {
    reply.background.addTask(function early () {})
    t.strictSame(queued(app), [['early']])
  })
  t.strictSame(queued(app), [['early']])
})

t.test('autorun: runAll keeps the order of a reply, the rules of a group, and the limit', async (t) => {
  const app = await createHolding(t, { concurrency: 2 })
  const ran: string[] = []
  let most = 0
  const task = (name: string) => defineTask(async () => {
    most = Math.max(most, app.background.stats().active)
    await turn()
    ran.push(name)
    if (name === 'broken') throw new Error('broken')
  }, { name })
  await serve(app, (reply) => {
    reply.background.addTask(task('first'))
    reply.background.addTasks(new BackgroundTasks([task('broken'), task('stopped')], { onFailure: 'stop' }))
    reply.background.addTask(task('last'))
  })
  await t.rejects(app.background.runAll(), { message: 'broken' })
  t.strictSame(ran, ['first', 'broken', 'last'])

  for (let i = 0; i < 5; i++) app.background.addTask(task('alone'))
  app.background.addTasks(new BackgroundTasks([task('a'), task('b'), task('c')], { concurrency: 3 }))
  await app.background.runAll()
  t.equal(most, 2)
  t.strictSame(app.background.stats(), counts({ accepted: 12, completed: 10, failed: 1, discarded: 1 }))
})

t.test('autorun: what tasks add runs too; what is added after that waits again', async (t) => {
  const app = await createHolding(t)
  const ran: string[] = []
  await serve(app, (reply) => {
    reply.background.addTask(function outer () {
      ran.push('outer')
      reply.background.addTask(function inner () { ran.push('inner') })
      app.background.addTask(async function outside () {
        await turn()
        ran.push('outside')
      })
    })
  })
  await app.background.runAll()
  t.strictSame(ran.toSorted(), ['inner', 'outer', 'outside'])

  await app.inject('/')
  await manyTurns()
  t.equal(ran.length, 3)
  t.strictSame(queued(app), [['outer']])
  await app.background.runAll()
  t.equal(ran.length, 6)
})

t.test('autorun: what is added when the last run has ended is part of it', async (t) => {
  const ran: string[] = []
  const app = await createHolding(t, { onTaskError: () => { app.background.addTask(function second () { ran.push('second') }) } })
  const first = app.background.addTask(() => { throw new Error('broken') })
  first.finished().then(() => app.background.addTask(function third () { ran.push('third') }))
  await t.rejects(app.background.runAll(), { message: 'broken' })
  t.strictSame(ran.sort(), ['second', 'third'])
})

t.test('autorun: a failure is thrown as it was, after its retries, and once', async (t) => {
  const app = await createHolding(t)
  const broken = new Error('broken')
  let attempts = 0
  app.background.addTask(defineTask(() => {
    attempts++
    throw broken
  }, { name: 'again', retries: 2, backoff: AT_ONCE }))
  const error = await app.background.runAll().then(() => undefined, (error) => error)
  t.equal(error, broken)
  t.equal(attempts, 3)
  await app.background.runAll()
})

t.test('autorun: several failures are thrown as one, in the order of their tasks', async (t) => {
  const app = await createHolding(t)
  const errors = [new Error('first'), new Error('second'), new Error('third')]
  await serve(app, (reply) => {
    reply.background.addTask(async function slow () {
      await turn()
      throw errors[0]
    })
    reply.background.addTask(defineTask(() => {}, { name: 'condition', when () { throw errors[1] } }))
  })
  app.background.addTask(function quick () { throw errors[2] })
  const error: AggregateError = await app.background.runAll().then(() => undefined, (error) => error)
  t.equal(error.message, '3 background tasks failed: "slow", "condition", "quick"')
  t.ok(error instanceof AggregateError && error.errors.every((each, i) => each === errors[i]))
})

t.test('autorun: a cancelled task no longer waits, and is no failure', async (t) => {
  const app = await createHolding(t)
  const run = app.background.addTask(() => {})
  app.background.addTask(function other () {})
  run.cancel()
  t.strictSame(queued(app), [['other']])
  await app.background.runAll()
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 1, cancelled: 1 }))
})

t.test('autorun: tasks that were all cancelled leave nothing behind by which another could start', async (t) => {
  const app = await createHolding(t)
  app.background.addTask(() => {}).cancel()
  await app.background.runAll()
  const all = app.background.runAll()
  app.background.addTask(() => {}).cancel()
  await all
  const run = app.background.addTask(() => {})
  await manyTurns()
  t.equal(run.state, 'queued')
})

t.test('autorun: nor where another application keeps the event loop busy', async (t) => {
  const [app, busy] = [await createHolding(t), await createApp(t)]
  // More than there is time for in a turn.
  for (let i = 0; i < 4; i++) busy.background.addTask(function busyLoop () { for (const end = performance.now() + 2; performance.now() < end;); })
  app.background.addTask(() => {}).cancel()
  await app.background.runAll()
  const run = app.background.addTask(() => {})
  await busy.background.idle()
  await manyTurns()
  t.equal(run.state, 'queued')
})

t.test('autorun: calls of runAll at the same time are one, and there may be nothing to run', async (t) => {
  const app = await createHolding(t)
  await app.background.runAll()
  const end = latch()
  app.background.addTask(async () => {
    await end
    throw new Error('broken')
  })
  const both = [app.background.runAll(), app.background.runAll()]
  end.open()
  for (const each of both) await t.rejects(each, { message: 'broken' })
})

t.test('autorun: a reply that settles while runAll is at work has its tasks run', async (t) => {
  const app = await createHolding(t)
  const [asked, answer] = [latch(), latch()]
  app.get('/', async (_request, reply) => {
    reply.background.addTask(function task () {})
    asked.open()
    await answer
    return 'ok'
  })
  const response = app.inject('/')
  await asked
  const all = app.background.runAll()
  answer.open()
  await response
  await all
  t.strictSame(app.background.stats(), counts({ accepted: 1, completed: 1 }))
})

t.test('autorun: maxPending counts what is held back', async (t) => {
  const app = await createHolding(t, { maxPending: 1 })
  app.background.addTask(() => {})
  t.throws(() => app.background.addTask(() => {}), { code: 'FST_ERR_BACKGROUND_QUEUE_FULL' })
})

t.test('autorun: without it, queued and runAll say what they need', async (t) => {
  for (const options of [{}, { autorun: true }]) {
    const app = await createApp(t, options)
    const expected = { code: 'FST_ERR_BACKGROUND_INVALID_OPTION', message: 'Option "autorun": expected false, for "queued" and "runAll()", got true' }
    t.throws(() => app.background.queued, expected)
    await t.rejects(app.background.runAll(), expected)
  }
})

t.test('autorun: close() does not wait for what is held back: it is discarded', async (t) => {
  const app = await createHolding(t)
  await serve(app, (reply) => {
    reply.background.addTask(() => {})
    reply.background.addTasks(new BackgroundTasks([() => {}, () => {}]))
  })
  app.background.addTask(() => {})
  app.background.addTasks(new BackgroundTasks([() => {}]))
  await app.close()
  t.strictSame(app.background.stats(), counts({ accepted: 5, discarded: 5 }))
  t.strictSame(app.background.queued, [])
  await app.background.runAll()
  t.throws(() => app.background.addTask(() => {}), { code: 'FST_ERR_BACKGROUND_CLOSED' })
})

t.test('autorun: close() discards what requests add while it waits for them', async (t) => {
  const app = await createHolding(t)
  const [asked, answer] = [latch(), latch()]
  app.get('/', async (_request, reply) => {
    asked.open()
    await answer
    reply.background.addTask(() => {})
    return 'ok'
  })
  const client = await connectTo(app)
  ask(client)
  await asked
  const closing = app.close()
  await manyTurns()
  answer.open()
  await client.receives('ok')
  await closing
  t.strictSame(app.background.stats(), counts({ accepted: 1, discarded: 1 }))
})

t.test('autorun: close() waits for runAll', async (t) => {
  const app = await createHolding(t)
  const end = latch()
  const run = app.background.addTask(() => end)
  const all = app.background.runAll()
  await until(() => run.state === 'active')
  const closing = app.close()
  end.open()
  await closing
  await all
  t.equal(run.state, 'completed')
})

for (const local of [true, false]) {
  t.test(`autorun: durable tasks are stored, and wait (${local ? 'local' : 'remote'} engine)`, async (t) => {
    const task = recorder('send-email')
    const { app, engine } = await createDurableApp(t, { tasks: [task], local, autorun: false, closeTimeout: HOUR })
    app.get('/', async (_request, reply) => {
      reply.background.addTask(task, 'a@b.c')
      return 'ok'
    })
    await app.inject('/')
    t.strictSame(engine.names, ['send-email'])
    await until(() => app.background.queued.length === 1 && [...engine.memory.entries.values()][0].state === 'active')
    await manyTurns()
    t.strictSame(task.calls, [])
    t.strictSame(queued(app), [['send-email', 'a@b.c']])
    t.equal(app.background.queued[0].task, task)

    await app.background.runAll()
    t.strictSame(task.calls, [['a@b.c']])
    t.strictSame(app.background.queued, [])
  })

  t.test(`autorun: close() hands back what an engine has (${local ? 'local' : 'remote'} engine)`, async (t) => {
    const task = durable('send-email', () => {})
    const { app, engine } = await createDurableApp(t, { tasks: [task], local, autorun: false, closeTimeout: HOUR })
    await app.ready()
    const run = app.background.addTask(task)
    await run.stored()
    await until(() => [...engine.memory.entries.values()][0].state === 'active')
    await app.close()
    t.equal(run.state, 'stored')
    t.equal([...engine.memory.entries.values()][0].state, 'queued')
  })
}

t.test('autorun: a task that another process has stored waits, too', async (t) => {
  const memory = new Memory()
  const task = recorder('send-email')
  const web = await createDurableApp(t, { tasks: [task], memory, worker: false })
  const { app } = await createDurableApp(t, { tasks: [task], memory, autorun: false })
  await app.ready()
  await web.app.background.addTask(task, 'a@b.c').stored()
  await until(() => app.background.queued.length === 1)
  t.strictSame(queued(app), [['send-email', 'a@b.c']])
  await app.background.runAll()
  t.strictSame(task.calls, [['a@b.c']])
})

t.test('autorun: of a durable task that is to be tried again elsewhere, nothing is forgotten', async (t) => {
  const task = durable('again', function () { if (this.attempt === 1) throw new Error('broken') }, { retries: 1, backoff: AT_ONCE })
  const { app } = await createDurableApp(t, { tasks: [task], autorun: false })
  await app.ready()
  const run = app.background.addTask(task)
  await until(() => app.background.queued.length === 1 && run.state === 'queued')
  await run.stored()
  await app.background.runAll()
  await until(() => app.background.queued.length === 1 || run.state === 'completed')
  await app.background.runAll()
  t.equal(run.state, 'completed')
})
