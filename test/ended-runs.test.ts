import t from 'tap'
import background from '../lib/index'
import { createApp, memoryLogger } from './helpers/app'
import { counts } from './helpers/counts'
import { latch, until } from './helpers/latch'
import { never, onEvent } from './helpers/policies'
import { manyTurns } from './helpers/reply'
import { serve } from './helpers/serve'

t.test('R3: a function that returns a generator fails its run: nothing of it has run', async (t) => {
  const { logger, lines } = memoryLogger('error')
  const app = await createApp(t, {}, { logger })
  let ran = false
  function * steps (): Generator<void> { ran = true }
  const run = await app.background.addTask(steps.bind(undefined)).finished()

  t.match(run, {
    state: 'failed',
    error: {
      code: 'FST_ERR_BACKGROUND_INVALID_TASK',
      message: 'Background task "bound steps": expected a function that does its work when called, got a generator, of which nothing has run'
    }
  })
  t.equal(lines.length, 1)
  t.notOk(ran)
})

t.test('R5: a condition that cancels its own run and then throws harms nothing: the run is cancelled, the next one runs', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  let run!: background.TaskRun
  const cancelsItself = background.defineTask(() => { ran.push('first') }, {
    name: 'first',
    when () {
      run.cancel()
      throw new Error('from the condition')
    }
  })
  await serve(app, (reply) => {
    run = reply.background.addTask(cancelsItself)
    reply.background.addTask(() => { ran.push('second') })
  })
  await app.background.idle()

  t.strictSame(ran, ['second'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, cancelled: 1, completed: 1 }))
})

t.test('R5: what was cancelled while it waited is not ended again by shutdown', async (t) => {
  const app = await createApp(t, { closeTimeout: 0 })
  const runs: background.TaskRun[] = []
  await serve(app, (reply) => {
    runs.push(reply.background.addTask(never), reply.background.addTask(never))
    runs.push(...reply.background.addTasks(new background.BackgroundTasks([never, never])))
  })
  await until(() => runs[0].state === 'active')
  for (const run of runs.slice(1)) t.ok(run.cancel())
  await app.close()

  t.strictSame(runs.map(({ state }) => state), ['cancelled', 'cancelled', 'cancelled', 'cancelled'])
  t.strictSame(app.background.stats(), counts({ accepted: 4, cancelled: 4 }))
})

t.test('R5: tasks that a route\'s function returns when its run has been cancelled are not added', async (t) => {
  const app = await createApp(t)
  const began = latch()
  const go = latch()
  const ran: string[] = []
  const runs: background.TaskRun[] = []
  onEvent(t, app, 'queued', ({ run }) => { runs.push(run) })
  app.get('/', {
    async background () {
      began.open()
      await go
      return new background.BackgroundTask(() => { ran.push('returned') })
    }
  }, async (request, reply) => {
    reply.background.addTask(() => { ran.push('behind') })
    return 'ok'
  })
  await app.inject('/')
  await began
  t.ok(runs[0].cancel())
  go.open()
  await app.background.idle()
  await manyTurns()

  t.strictSame(ran, ['behind'])
  t.equal(app.background.stats().accepted, 2)
})

t.test('L2: a task that is added when the last deadline ends another is ended with it: nobody would wait for it', async (t) => {
  const app = await createApp(t, { closeTimeout: 0 })
  const ran: string[] = []
  let added: background.TaskRun | undefined
  app.addHook('onClose', async () => {
    // Runs before the plugin's own hook: what is added here is for its last drain.
    app.background.addTask(function () {
      this.signal.addEventListener('abort', () => { added = app.background.addTask(() => { ran.push('added') }) })
      return never()
    })
    await until(() => app.background.stats().active === 1)
  })
  await app.close()

  t.equal(added?.state, 'discarded')
  await manyTurns()
  t.strictSame(ran, [])
  t.strictSame(app.background.stats(), counts({ accepted: 2, cancelled: 1, discarded: 1 }))
})

t.test('L1: a task that is added when shutdown ends the last of the runs is ended with them', async (t) => {
  const app = await createApp(t, { closeTimeout: 0 })
  const ran: string[] = []
  let added!: background.TaskRun
  app.addHook('preClose', async () => {
    const run = app.background.addTask(function () {
      this.signal.addEventListener('abort', () => { added = app.background.addTask(() => { ran.push('not to run') }) })
      return never()
    })
    await until(() => run.state === 'active')
  })
  await app.ready()
  await app.close()

  t.equal(added.state, 'discarded')
  await manyTurns()
  t.strictSame(ran, [])
  t.strictSame(app.background.stats(), counts({ accepted: 2, cancelled: 1, discarded: 1 }))
})
