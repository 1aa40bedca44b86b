import t from 'tap'
import Fastify from 'fastify'
import background from '../lib/index'
import { createApp } from './helpers/app'
import { createDurableApp, durable, recorder } from './helpers/durable'
import { latch, until } from './helpers/latch'
import { MemoryEngine } from './helpers/memory-engine'
import { manyTurns } from './helpers/reply'

const { BackgroundTask, BackgroundTasks, defineTask } = background

const INVALID_OPTION = 'FST_ERR_BACKGROUND_INVALID_OPTION'
const NO_ENGINE = 'FST_ERR_BACKGROUND_NO_ENGINE'
const UNKNOWN_TASK = 'FST_ERR_BACKGROUND_UNKNOWN_TASK'
const task = durable('task', (_argument?: unknown) => {})

const without = (method: string): object => Object.assign(new MemoryEngine(), { [method]: undefined })
const WRONG: Array<[what: string, options: object, code: string, message: RegExp]> = [
  ['tasks that are no list', { tasks: task }, INVALID_OPTION, /^Option "tasks": expected a list of definitions, got a function$/],
  ['a task that is no function', { tasks: ['task'] }, INVALID_OPTION, /^Option "tasks\[0\]": expected a definition, as of defineTask\(\), got "task"$/],
  ['a task that is no definition', { tasks: [defineTask(() => {}, { name: 'a' }), () => {}] }, INVALID_OPTION, /^Option "tasks\[1\]": expected a definition.* got a function$/],
  ['a task without a name', { tasks: [defineTask(() => {})] }, INVALID_OPTION, /^Option "tasks\[0\]": expected a definition with a name, got one without$/],
  ['two tasks of one name', { engine: new MemoryEngine(), tasks: [task, durable('task', () => {})] }, INVALID_OPTION, /^Option "tasks\[1\]": expected a name of its own, got "task" again$/],
  ['a durable task without an engine', { tasks: [task] }, NO_ENGINE, /^Background task "task" is durable, and there is no "engine"$/],
  ['a local engine without a worker', { engine: new MemoryEngine({ local: true }), worker: false }, INVALID_OPTION, /^Option "worker": expected true with the engine memory: .*, got false$/],
  ['an engine that is none', { engine: null }, INVALID_OPTION, /^Option "engine": expected an engine, as of journal\(\) or bullmq\(\), got null$/],
  ...['open', 'store', 'release', 'work', 'stop', 'close', 'find', 'list', 'counts', 'retry', 'cancel', 'watch'].map((method): typeof WRONG[number] =>
    [`an engine without ${method}()`, { engine: without(method) }, INVALID_OPTION, /^Option "engine"/]),
  ...[{ features: undefined }, { features: {} }, { features: { local: 1 } }, { name: undefined }, { name: '' }].map((wrong): typeof WRONG[number] =>
    [`an engine with ${JSON.stringify(wrong)}`, { engine: Object.assign(new MemoryEngine(), wrong) }, INVALID_OPTION, /^Option "engine"/]),
  ['a worker that is neither true nor false', { worker: 1 }, INVALID_OPTION, /^Option "worker"/],
  ...[0, 60_001, 1.5, '1'].map((storeTimeout): typeof WRONG[number] => [`a storeTimeout of ${storeTimeout}`, { storeTimeout }, INVALID_OPTION, /^Option "storeTimeout"/]),
  ...[0, Infinity, '1'].map((maxArgsSize): typeof WRONG[number] => [`a maxArgsSize of ${maxArgsSize}`, { maxArgsSize }, INVALID_OPTION, /^Option "maxArgsSize"/]),
  ...[-1, 1_000_001].map((maxRestarts): typeof WRONG[number] => [`maxRestarts of ${maxRestarts}`, { maxRestarts }, INVALID_OPTION, /^Option "maxRestarts"/]),
  ['an unknownTaskGrace below 0', { unknownTaskGrace: -1 }, INVALID_OPTION, /^Option "unknownTaskGrace"/]
]

for (const [what, options, code, message] of WRONG) {
  t.test(`${what} fails the boot`, async (t) => {
    const app = Fastify()
    t.teardown(() => app.close().catch(() => {}))
    await t.rejects(Promise.resolve(app.register(background, options as background.BackgroundOptions)), { code, message })
  })
}

t.test('A2: a durable task without an engine is refused at the call', async (t) => {
  const app = await createApp(t)
  app.get('/', async (_, reply) => { reply.background.addTask(task) })
  const wanted = { code: NO_ENGINE, message: 'Background task "task" is durable, and the plugin has no "engine"' }
  t.throws(() => app.background.addTask(task), wanted)
  t.throws(() => app.background.addTasks([() => {}, task]), wanted)
  t.match((await app.inject('/')).json(), { ...wanted, statusCode: 500 })
  t.equal(app.background.stats().accepted, 0)
})

t.test('A2: a durable task that is not among the tasks is refused at the call', async (t) => {
  const unknown = durable('unknown', () => {})
  const wanted = { code: UNKNOWN_TASK, message: 'Background task "unknown" is not among the "tasks" of the plugin' }
  for (const options of [{ tasks: [task] }, { tasks: [task], worker: false }, { worker: true }]) {
    const { app } = await createDurableApp(t, options)
    t.throws(() => app.background.addTask(unknown), wanted)
    t.equal(app.background.stats().accepted, 0)
  }
})

t.test('A2: a route with a durable task that could not be stored fails the boot', async (t) => {
  const plain = await createApp(t)
  t.throws(() => plain.get('/', { background: new BackgroundTask(task) }, async () => 'ok'), { code: NO_ENGINE })
  const { app } = await createDurableApp(t, { tasks: [task] })
  t.throws(() => app.get('/a', { background: new BackgroundTask(durable('unknown', () => {})) }, async () => 'ok'), { code: UNKNOWN_TASK })
  t.throws(() => app.get('/b', { background: [new BackgroundTask(task), new BackgroundTask(task, 1n)] }, async () => 'ok'),
    { code: 'FST_ERR_BACKGROUND_ARGS_NOT_SERIALIZABLE', message: /args\[0\] has to be JSON/ })
  t.doesNotThrow(() => app.get('/c', { background: new BackgroundTask(task, 1) }, async () => 'ok'))
})

t.test('A2: a durable task as the function of a route fails the boot: it would get request and reply', async (t) => {
  const { app } = await createDurableApp(t, { tasks: [task] })
  t.throws(() => app.get('/', { background: task as background.TaskDefinition<[]> }, async () => 'ok'), {
    code: 'FST_ERR_BACKGROUND_INVALID_TASK', message: /GET \/: expected a function, or a durable task with arguments that can be stored, got the durable task task/
  })
})

t.test('R1: a group takes no durable task', async (t) => {
  const wanted = { code: 'FST_ERR_BACKGROUND_INVALID_TASK', message: /expected tasks that are not durable: an engine keeps no group together, got the durable task task/ }
  t.throws(() => new BackgroundTasks([task]), wanted)
  t.throws(() => new BackgroundTasks([new BackgroundTask(task)]), wanted)
  t.throws(() => new BackgroundTasks().addTask(task), wanted)
})

t.test('a function of a route may return a durable task', async (t) => {
  const recorded = recorder('recorded')
  const { app, engine } = await createDurableApp(t, { tasks: [recorded], local: true })
  app.get('/:id', { background: (request) => new BackgroundTask(recorded, request.params) }, async () => 'ok')
  await app.inject('/42')
  await until(() => recorded.calls.length === 1)

  t.strictSame(recorded.calls, [[{ id: '42' }]])
  t.strictSame(engine.stores, [['recorded']])
})

t.test('a definition that is not durable runs in the process, whether it is among the tasks or not', async (t) => {
  const here = defineTask((argument: Map<string, string>) => argument.size, { name: 'here' })
  const { app, engine } = await createDurableApp(t, { tasks: [here] })
  const run = app.background.addTask(here, new Map([['a', 'b']]))
  await app.background.idle()

  t.equal(run.result, 1)
  t.strictSame(engine.stores, [])
})

t.test('an engine that cannot be opened fails the boot', async (t) => {
  const engine = new MemoryEngine()
  const reason = new Error('set up wrongly')
  engine.gates.open = () => { throw reason }
  const app = Fastify()
  await t.rejects(Promise.resolve(app.register(background, { engine, tasks: [task] })), reason)
  await app.close().catch(() => {})

  t.strictSame(engine.calls, ['open'], 'it may be at work for another application')
})

t.test('an engine that is still opening when the boot is given up is closed with its application', async (t) => {
  const engine = new MemoryEngine()
  const go = latch()
  engine.gates.open = () => go
  const app = Fastify({ pluginTimeout: 20 })
  await t.rejects(Promise.resolve(app.register(background, { engine, tasks: [task] })), { code: 'AVV_ERR_PLUGIN_EXEC_TIMEOUT' })
  await app.close().catch(() => {})
  go.open()

  t.equal(engine.calls.at(-1), 'close')
})

t.test('an engine is opened when the plugin loads, works when the application is ready, and stops before it closes', async (t) => {
  const engine = new MemoryEngine()
  const app = Fastify()
  await app.register(background, { engine, tasks: [task] })
  t.strictSame(engine.calls, ['open'])
  await app.ready()
  t.strictSame(engine.calls, ['open', 'work'])
  await app.close()
  t.strictSame(engine.calls, ['open', 'work', 'stop', 'close'])
})

t.test('an application that closes before it is ready closes its engine', async (t) => {
  const engine = new MemoryEngine()
  const [opening, go] = [latch(), latch()]
  engine.gates.open = () => {
    opening.open()
    return go
  }
  const app = Fastify()
  app.register(background, { engine, tasks: [task] })
  const ready = app.ready()
  await opening
  const closed = app.close()
  await manyTurns()
  t.strictSame(engine.calls, ['open'])
  go.open()
  await Promise.allSettled([ready, closed])
  await closed

  t.equal(engine.calls.at(-1), 'close')
  t.equal(engine.calls.filter((call) => call === 'close').length, 1)
})

t.test('with worker: false nothing is taken from the engine', async (t) => {
  const { app, engine } = await createDurableApp(t, { tasks: [task], worker: false })
  await app.ready()
  await app.background.addTask(task).stored()
  await manyTurns()

  t.strictSame(engine.calls, ['open'])
  t.strictSame(engine.outcomes, [])
})
