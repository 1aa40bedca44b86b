import { randomUUID } from 'node:crypto'
import { channel } from 'node:diagnostics_channel'
import t, { type Test } from 'tap'
import type background from '../../lib/index'
import type { StatusOptions } from '../../lib/status/options'
import { durable } from '../helpers/durable'
import { latch, turn, until } from '../helpers/latch'
import { Memory, MemoryEngine } from '../helpers/memory-engine'
import { createAppWithStatus, openEvents, type StatusApp } from '../helpers/status-app'

type Task = background.TaskDefinition<[], unknown>

/** Two processes with one engine: the web has the status, the worker the work. */
async function twoProcesses (t: Test, task: Task, options: StatusOptions = {}): Promise<{ web: StatusApp, engine: MemoryEngine, worker: StatusApp }> {
  const memory = new Memory()
  const engine = new MemoryEngine({ memory })
  const web = await createAppWithStatus(t, { interval: 0, ...options }, { engine, tasks: [task], worker: false })
  const worker = await createAppWithStatus(t, {}, { engine: new MemoryEngine({ memory }), tasks: [task], closeTimeout: 100 })
  return { web, engine, worker }
}

t.test('status: any process answers for a run of another', async (t) => {
  const go = latch()
  const { web, engine, worker } = await twoProcesses(t, durable('task', async function () {
    this.progress(0.5)
    await go
    return { location: '/there' }
  }))
  const id = randomUUID()
  engine.put({ id, name: 'task' })
  await until(() => worker.app.background.get(id)?.progress !== undefined)
  const during = await web.ask({ id })
  const wait = web.ask({ id }, { headers: { prefer: 'wait=30' } })
  const events = await openEvents(`${web.url}/tasks/${id}`)
  t.match(await events.status(), { state: 'active', progress: { value: 0.5 } })
  go.open()

  t.match(during, { status: 200, body: { id, name: 'task', state: 'active', attempt: 1, progress: { value: 0.5 } } })
  t.match((await events.rest()).at(-1), { event: 'end', data: { state: 'completed', location: '/there' } })
  t.match(await wait, { status: 303, body: { state: 'completed' } })
})

t.test('status: a run that could not be stored is no 202, and there is nowhere to ask', async (t) => {
  const task = durable('task', () => {})
  const { web, engine } = await twoProcesses(t, task)
  engine.gates.store = () => { throw new Error('away') }
  const { response } = await web.start(task)

  t.equal(response.status, 503)
  for (const name of ['location', 'retry-after']) t.equal(response.headers.get(name), null)
})

t.test('status: of a local engine, what has ended is over at once', async (t) => {
  const [slowTask, quickTask] = [durable('slow', () => new Promise(() => {})), durable('quick', () => 'done')]
  const engine = new MemoryEngine({ local: true })
  const { app, ask } = await createAppWithStatus(t, {}, { engine, tasks: [slowTask, quickTask] })
  const { find } = engine
  // It hears of the end a little later.
  engine.find = async (id) => ({ ...(await find.call(engine, id))!, state: 'active' })
  const slow = app.background.addTask(slowTask)
  await until(() => slow.state === 'active')
  const quick = await app.background.addTask(quickTask).finished()

  t.match(await ask(quick), { status: 200, body: { state: 'completed' } })
  t.match(await ask(slow, { method: 'DELETE' }), { status: 200, body: { state: 'cancelled' } })
})

t.test('status: accepted(run) of a durable run that goes to another process', async (t) => {
  const task = durable('task', () => 'done')
  const { web } = await twoProcesses(t, task, { exposeResult: true })
  const { run, response, body } = await web.start(task)

  t.equal(response.status, 202)
  t.match(body, { id: run.id, state: 'queued' })
  const events = await openEvents(`${web.url}/tasks/${run.id}`)
  t.match((await events.rest()).at(-1), { event: 'end', data: { state: 'completed', result: 'done' } })
})

t.test('status: a stream that began before its run was stored goes on with what another process does', async (t) => {
  const store = latch()
  const task = durable('task', () => 'done')
  const { web, engine } = await twoProcesses(t, task, { exposeResult: true })
  engine.gates.store = () => store
  const { id } = web.app.background.addTask(task)
  const events = await openEvents(`${web.url}/tasks/${id}`)
  t.match(await events.status(), { state: 'queued' })
  store.open()

  t.match((await events.rest()).at(-1), { event: 'end', data: { state: 'completed', result: 'done' } })
})

t.test('status: DELETE cancels a run that another process is at', async (t) => {
  const signals: AbortSignal[] = []
  const { web, engine } = await twoProcesses(t, durable('task', function () {
    signals.push(this.signal)
    return new Promise(() => {})
  }), { exposeErrors: true })
  const id = randomUUID()
  engine.put({ id, name: 'task' })
  await until(() => signals.length === 1)
  const { status } = await web.ask({ id }, { method: 'DELETE' })

  t.ok([200, 202].includes(status))
  t.ok(signals[0].aborted)
  const events = await openEvents(`${web.url}/tasks/${id}`)
  t.match((await events.rest()).at(-1), { event: 'end', data: { state: 'cancelled' } })
})

t.test('status: DELETE is a 202 while the other process has not been told', async (t) => {
  const { web, engine } = await twoProcesses(t, durable('task', () => new Promise(() => {})))
  const id = randomUUID()
  engine.put({ id, name: 'task' })
  await until(() => engine.memory.entries.get(id)?.state === 'active')
  Object.assign(engine, { cancel: async () => true })

  t.match(await web.ask({ id }, { method: 'DELETE' }), { status: 202, body: { state: 'active' } })
})

t.test('status: an engine that is away is a 503, not a 404', async (t) => {
  const { web, engine } = await twoProcesses(t, durable('task', () => {}))
  engine.gates.find = () => { throw new Error('connection refused at 10.0.0.1') }
  const { status, headers, body } = await web.ask({ id: randomUUID() })

  t.equal(status, 503)
  t.equal(headers.get('retry-after'), '10')
  t.equal(body.code, 'FST_ERR_BACKGROUND_ENGINE_AWAY')
  t.notMatch(JSON.stringify(body), '10.0.0.1')
})

t.test('status: an engine is not asked for what is no id', async (t) => {
  const { web, engine } = await twoProcesses(t, durable('task', () => {}))
  engine.gates.find = () => { throw new Error('asked') }

  for (const id of ['x', '1:2', '*', '%00', '__proto__']) t.equal((await web.ask({ id })).status, 404, id)
})

t.test('status: a stream outlives an engine that was away', async (t) => {
  const [more, go] = [latch(), latch()]
  const { web, engine, worker } = await twoProcesses(t, durable('task', async function () {
    await more
    this.progress(0.5)
    await go
  }))
  const id = randomUUID()
  engine.put({ id, name: 'task' })
  await until(() => worker.app.background.get(id)?.state === 'active')
  const events = await openEvents(`${web.url}/tasks/${id}`)
  t.match(await events.status(), { state: 'active' })
  let asked = 0
  engine.gates.find = () => {
    asked++
    throw new Error('away')
  }
  more.open()
  await until(() => asked > 0)
  await turn()
  engine.gates.find = undefined
  go.open()

  t.match((await events.rest()).at(-1), { event: 'end', data: { state: 'completed' } })
})

t.test('status: an engine that cannot be watched leaves nothing behind', async (t) => {
  const { web, engine, worker } = await twoProcesses(t, durable('task', () => new Promise(() => {})), { maxListeners: 1 })
  const id = randomUUID()
  engine.put({ id, name: 'task' })
  await until(() => worker.app.background.get(id)?.state === 'active')
  const watch = engine.watch
  engine.watch = () => { throw new Error('away') }
  t.equal((await web.ask({ id }, { headers: { prefer: 'wait=30' } })).status, 500)
  t.notOk(channel('fastify.background.task.progress').hasSubscribers)
  t.notOk(process.getActiveResourcesInfo().includes('Interval'))

  engine.watch = watch
  const events = await openEvents(`${web.url}/tasks/${id}`)
  t.equal(events.response.status, 200, 'there is still room for a listener')
  events.leave()
})

t.test('status: a closing application ends the stream of a run that another process is at, without an outcome', async (t) => {
  const { web, id, engine } = await atWork(t)
  const events = await openEvents(`${web.url}/tasks/${id}`)
  await events.status()
  await web.app.close()

  t.notOk((await events.rest()).some(({ event }) => event === 'end'))
  t.equal(engine.memory.listeners.size, 0)
})

t.test('status: a closing application ends the wait for a run that another process is at', async (t) => {
  const { web, id, engine } = await atWork(t)
  const wait = web.ask({ id }, { headers: { prefer: 'wait=30' } })
  await until(() => engine.memory.listeners.size > 0)
  const closing = web.app.close()

  t.match(await wait, { status: 200, body: { state: 'active' } })
  await closing
})

/** A run that the worker is at, and never ends. */
async function atWork (t: Test): Promise<{ web: StatusApp, engine: MemoryEngine, id: string }> {
  const { web, engine, worker } = await twoProcesses(t, durable('task', () => new Promise(() => {})))
  const id = randomUUID()
  engine.put({ id, name: 'task' })
  await until(() => worker.app.background.get(id)?.state === 'active')
  return { web, engine, id }
}
