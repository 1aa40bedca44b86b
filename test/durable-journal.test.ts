import t from 'tap'
import background from '../lib/index'
import { journal } from '../lib/engines/journal'
import { createApp } from './helpers/app'
import { durable, recorder } from './helpers/durable'
import { latch, until } from './helpers/latch'
import { never } from './helpers/policies'
import { serve } from './helpers/serve'

t.test('D5: with the journal, what shutdown hands back is begun once here, and once by the next process', async (t) => {
  const location = t.testdir()
  let begun = 0
  const slow = durable('slow', (_argument: string) => {
    begun++
    return never()
  })
  const app = await createApp(t, { engine: journal({ location, concurrency: 1 }), tasks: [slow], closeTimeout: 20 })
  const runs: background.TaskRun[] = []
  await serve(app, (reply) => { runs.push(reply.background.addTask(slow, 'first'), reply.background.addTask(slow, 'second')) })
  await until(() => runs[0].state === 'active')
  await app.close()
  t.strictSame(runs.map(({ state }) => state), ['stored', 'stored'])
  t.equal(begun, 1)

  const task = recorder('slow')
  const next = await createApp(t, { engine: journal({ location }), tasks: [task] })
  await next.ready()
  await until(() => task.calls.length === 2)
  t.strictSame(task.calls.flat().sort(), ['first', 'second'])
})

t.test('with the journal, find() knows of a run that has just ended here what it came to', async (t) => {
  const task = durable('task', async () => 42)
  const app = await createApp(t, { engine: journal({ location: t.testdir() }), tasks: [task], history: {} })
  await app.ready()
  const { id } = await app.background.addTask(task).finished()
  t.match(await app.background.find(id), { state: 'completed', result: 42 })
})

t.test('with the journal and without a history, find() knows what a run came to as soon as idle() does', async (t) => {
  const task = durable('task', async () => 42)
  const app = await createApp(t, { engine: journal({ location: t.testdir() }), tasks: [task] })
  await app.ready()
  const { id } = app.background.addTask(task)
  await app.background.idle()
  t.match(await app.background.find(id), { state: 'completed' })
})

t.test('R5: with the journal, a run that is cancelled while it is held does not come again', async (t) => {
  const location = t.testdir()
  const task = recorder('task')
  const app = await createApp(t, { engine: journal({ location }), tasks: [task] })
  const [held, go] = [latch(), latch()]
  let run!: background.TaskRun
  app.get('/', async (_, reply) => {
    reply.hijack()
    run = reply.background.addTask(task, 'cancelled')
    await run.stored()
    held.open()
    await go
    reply.raw.end('ok')
  })
  const answer = app.inject('/')
  await held
  t.equal(run.cancel(), true)
  go.open()
  await answer
  await app.close()

  const next = await createApp(t, { engine: journal({ location }), tasks: [task] })
  await next.ready()
  next.background.addTask(task, 'last')
  await until(() => task.calls.length > 0)
  t.strictSame(task.calls, [['last']])
  t.match(await next.background.find(run.id), { state: 'cancelled' })
})
