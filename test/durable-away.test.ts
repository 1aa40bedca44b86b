import t from 'tap'
import { createDurableApp, recorder } from './helpers/durable'
import { until } from './helpers/latch'
import { never, timers } from './helpers/policies'
import { manyTurns } from './helpers/reply'
import { serve } from './helpers/serve'
import { unhandledRejections } from './helpers/unhandled'

const IN_TIME = { message: 'memory: no answer within 5 ms; it may still do what it was asked for' }

t.test('D7: an engine that does not answer is an error within storeTimeout, and when it is back work goes on', async (t) => {
  const task = recorder('task')
  const { app, engine } = await createDurableApp(t, { tasks: [task], storeTimeout: 5 })
  engine.gates.store = engine.gates.find = engine.gates.cancel = never
  t.equal((await serve(app, (reply) => { reply.background.addTask(task) })).statusCode, 503)
  await t.rejects(app.background.find('unknown'), IN_TIME)
  await t.rejects(app.background.cancel('unknown'), IN_TIME)
  await t.rejects(app.background.addTask(task).stored(), { code: 'FST_ERR_BACKGROUND_STORE_FAILED', cause: IN_TIME })

  engine.gates.store = engine.gates.find = engine.gates.cancel = undefined
  t.equal((await app.inject('/')).statusCode, 200)
  const run = app.background.addTask(task)
  await until(() => task.calls.length === 2)
  t.match(await app.background.find(run.id), { id: run.id })
  t.equal(await app.background.cancel('unknown'), false)
})

t.test('D7: what an engine rejects with is told to those who ask', async (t) => {
  const { app, engine } = await createDurableApp(t)
  const away = new Error('away')
  engine.gates.find = engine.gates.cancel = () => { throw away }

  await t.rejects(app.background.find('unknown'), away)
  await t.rejects(app.background.cancel('unknown'), away)
})

t.test('D7: what an engine rejects with too late harms nothing', async (t) => {
  const { app, engine } = await createDurableApp(t, { storeTimeout: 1 })
  const unhandled = unhandledRejections(t)
  let late = 0
  engine.gates.find = () => new Promise((_resolve, reject) => {
    setTimeout(() => {
      late++
      reject(new Error('too late'))
    }, 10)
  })
  await t.rejects(app.background.find('unknown'), /within 1 ms/)
  await until(() => late === 1)
  await manyTurns()

  t.strictSame(unhandled, [])
})

t.test('L4: an engine that has answered leaves no timer', async (t) => {
  const task = recorder('task')
  const { app, engine } = await createDurableApp(t, { tasks: [task], storeTimeout: 60_000, worker: false })
  const before = timers()
  await app.background.addTask(task).stored()
  await app.background.find('unknown')
  engine.gates.store = () => { throw new Error('away') }
  await app.background.addTask(task).finished()

  t.equal(timers(), before)
})
