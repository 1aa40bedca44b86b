import { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import background from '../lib/index'
import { listen } from './helpers/app'
import { counts } from './helpers/counts'
import { createDurableApp, durable, recorder, type DurableApp } from './helpers/durable'
import { createHttp2App, get, http2Client, read } from './helpers/http2'
import { latch, until } from './helpers/latch'
import { MemoryEngine } from './helpers/memory-engine'
import { manyTurns } from './helpers/reply'
import { unhandledRejections } from './helpers/unhandled'

const { BackgroundTask } = background

const AWAY = new Error('the engine is away')
const STORE_FAILED = 'FST_ERR_BACKGROUND_STORE_FAILED'

/** An app whose reply has two durable tasks and three that are not, which say whether they ran. */
async function withTasks (t: Test, options: Parameters<typeof createDurableApp>[1] = {}): Promise<DurableApp & { ran: string[], runs: background.TaskRun[] }> {
  const ran: string[] = []
  const runs: background.TaskRun[] = []
  const mail = durable('mail', () => { ran.push('mail') })
  const hook = durable('hook', () => { ran.push('hook') })
  const created = await createDurableApp(t, { tasks: [mail, hook], ...options })
  const { app } = created
  const local = (when: background.When): background.TaskDefinition => background.defineTask(() => { ran.push(String(when)) }, { name: String(when), when })
  app.get('/', { background: new BackgroundTask(hook) }, async (_, reply) => {
    runs.push(reply.background.addTask(mail), ...reply.background.addTasks([mail]))
    for (const when of ['always', 'success', 'error'] as const) reply.background.addTask(local(when))
    return 'ok'
  })
  return { ...created, ran, runs }
}

for (const local of [true, false]) {
  const where = local ? 'a local engine' : 'a remote engine'

  t.test(`D1: where ${where} cannot store, the reply is a 503 and nothing durable of it is run`, async (t) => {
    const { app, engine, ran, runs, lines, errors } = await withTasks(t, { local })
    const unhandled = unhandledRejections(t)
    engine.gates.store = () => { throw AWAY }
    const { url } = await listen(app)
    const response = await fetch(url)
    const body = await response.json() as object
    await app.background.idle()
    await manyTurns()

    t.equal(response.status, 503)
    t.match(body, { code: STORE_FAILED, message: 'Background task "hook", "mail" could not be stored: the engine has not taken it' })
    t.notMatch(JSON.stringify(body), AWAY.message)
    t.strictSame(ran, ['always', 'error'])
    t.strictSame(app.background.stats(), counts({ accepted: 6, completed: 2, discarded: 1, failed: 3 }))
    t.ok(runs.every(({ state }) => state === 'failed'))
    t.match(errors.map(([error]) => error), [0, 1, 2].map(() => ({ code: STORE_FAILED, cause: AWAY })))
    t.equal(new Set(errors.map(([, run]) => run.id)).size, 3, 'onTaskError once for each')
    const failures = lines.filter(({ msg }) => msg === 'background task failed')
    t.strictSame(failures.map(({ taskId }) => taskId).sort(), errors.map(([, { id }]) => id).sort())
    t.strictSame(failures.map(({ task }) => task), ['hook', 'mail', 'mail'])
    t.ok(failures.every(({ reqId }) => typeof reqId === 'string'))
    t.ok(failures.every(({ err }) => (err as Error).message.endsWith(AWAY.message)), 'the log says why')
    t.strictSame(unhandled, [])
    t.strictSame(engine.names, [])
  })

  t.test(`D1: where ${where} takes longer than storeTimeout, the reply is a 503, and the log says that the task may run`, async (t) => {
    const { app, engine, ran, runs, lines } = await withTasks(t, { local, storeTimeout: 5 })
    const go = latch()
    engine.gates.store = () => go
    const { statusCode, body } = await app.inject('/')
    await app.background.idle()

    t.equal(statusCode, 503)
    t.match(JSON.parse(body), { code: STORE_FAILED, message: /could not be stored: the engine has not taken it$/ })
    t.strictSame(ran, ['always', 'error'])
    const failures = lines.filter(({ msg }) => msg === 'background task failed')
    t.match(failures, [{ taskId: String }, { taskId: String }, { taskId: String }])
    t.match(failures[0].err, { message: /it may still do/ })
    t.ok(runs.every(({ id }) => failures.some(({ taskId }) => taskId === id)))

    go.open()
    await until(() => engine.names.length === 3)
    await manyTurns()
    if (local) {
      t.strictSame(ran, ['always', 'error'], 'what was stored too late is not for this process')
      t.strictSame(engine.released, [])
    } else {
      t.equal(ran.length, 5, 'what was stored too late is for any')
    }
    t.ok(runs.every(({ state }) => state === 'failed'))
  })
}

t.test('D1: what a local engine has stored too late is run by the next process', async (t) => {
  const first = await withTasks(t, { local: true, storeTimeout: 5 })
  const go = latch()
  first.engine.gates.store = () => go
  await first.app.inject('/')
  go.open()
  await until(() => first.engine.names.length === 3)
  await first.app.close()
  const next = await withTasks(t, { local: true, memory: first.engine.memory })
  await next.app.ready()
  await until(() => next.ran.length === 3)

  t.strictSame(next.ran, ['hook', 'mail', 'mail'])
})

t.test('D1: run.stored() rejects with what the reply failed with', async (t) => {
  const task = recorder('task')
  const { app, engine } = await createDurableApp(t, { tasks: [task] })
  engine.gates.store = () => { throw AWAY }
  let early!: Promise<unknown>
  let run!: background.TaskRun
  app.get('/', async (_, reply) => {
    run = reply.background.addTask(task)
    early = t.rejects(run.stored(), { code: STORE_FAILED, statusCode: 503, cause: AWAY })
    return 'ok'
  })
  await app.inject('/')
  await early

  await t.rejects(run.stored(), run.error as Error)
})

t.test('D1: an error handler sees the failure, and what it adds is stored with its reply', async (t) => {
  const [task, alarm] = [recorder('task'), recorder('alarm')]
  const { app, engine } = await createDurableApp(t, { tasks: [task, alarm] })
  engine.gates.store = () => {
    engine.gates.store = undefined
    throw AWAY
  }
  app.setErrorHandler(async (error: Error & { code: string }, _, reply) => {
    reply.background.addTask(alarm)
    return reply.code(503).send({ seen: error.code })
  })
  app.get('/', async (_, reply) => {
    reply.background.addTask(task)
    return 'ok'
  })
  const response = await app.inject('/')
  await until(() => alarm.calls.length > 0)

  t.strictSame([response.statusCode, response.json()], [503, { seen: STORE_FAILED }])
  t.strictSame(engine.stores, [['task'], ['alarm']])
  t.strictSame(task.calls, [])
})

t.test('D1: an error reply that cannot be stored either ends, and its tasks fail', async (t) => {
  const [task, alarm] = [recorder('task'), recorder('alarm')]
  const { app, engine, errors } = await createDurableApp(t, { tasks: [task, alarm] })
  engine.gates.store = () => { throw AWAY }
  app.setErrorHandler(async (_error, _, reply) => {
    reply.background.addTask(alarm)
    return reply.code(418).send('teapot')
  })
  app.get('/', async (_, reply) => {
    reply.background.addTask(task)
    return 'ok'
  })
  const { url } = await listen(app)
  const response = await fetch(url)
  await response.text()
  await app.background.idle()

  t.equal(response.status, 503)
  t.strictSame(errors.map(([, { name }]) => name), ['task', 'alarm'])
})

t.test('D1: the tasks of a web Response, and those of a 404, follow the 503 as well', async (t) => {
  const task = recorder('task')
  const { app, engine } = await createDurableApp(t, { tasks: [task] })
  const ran: string[] = []
  engine.gates.store = () => { throw AWAY }
  const add = (reply: { background: background.ReplyBackground }): void => {
    reply.background.addTask(task)
    for (const when of ['success', 'error'] as const) {
      reply.background.addTask(background.defineTask(() => { ran.push(when) }, { when }))
    }
  }
  app.get('/response', async (_, reply) => {
    add(reply)
    return new Response('created', { status: 201 })
  })
  app.setNotFoundHandler(async (_, reply) => {
    add(reply)
    return reply.code(404).send('not found')
  })
  for (const path of ['/response', '/missing']) {
    t.equal((await app.inject(path)).statusCode, 503)
    await app.background.idle()
  }

  t.strictSame(ran, ['error', 'error'])
})

t.test('D1: what a reply would have sent is let go where it becomes a 503, and harms nothing', async (t) => {
  const task = recorder('task')
  const { app, engine } = await createDurableApp(t, { tasks: [task] })
  engine.gates.store = () => { throw AWAY }
  const cancelled: string[] = []
  const webStream = (name: string): ReadableStream => new ReadableStream({ cancel () { cancelled.push(name) } })
  const stream = new Readable({ read () {}, destroy (_, callback) { callback(new Error('too late')) } })
  const read = webStream('read by another')
  read.getReader()
  const payloads: unknown[] = [stream, webStream('stream'), new Response(webStream('response')), read, new Response(null), 'text', Buffer.from('bytes')]
  app.get('/:which', async (request, reply) => {
    reply.background.addTask(task)
    return payloads[(request.params as { which: number }).which]
  })
  for (const which of payloads.keys()) t.equal((await app.inject(`/${which}`)).statusCode, 503)

  t.ok(stream.destroyed)
  t.strictSame(cancelled, ['stream', 'response'])
})

t.test('D1: a reply that would have sent its request back is a 503, too', async (t) => {
  const task = recorder('task')
  const { app, engine } = await createDurableApp(t, { tasks: [task] })
  engine.gates.store = () => { throw AWAY }
  app.addContentTypeParser('*', (_, payload, done) => { done(null, payload) })
  app.post('/', async (request, reply) => {
    reply.background.addTask(task)
    return request.body
  })
  const { url } = await listen(app)
  // More than comes at once.
  const response = await fetch(url, { method: 'POST', body: new Uint8Array(1 << 20) })

  t.equal(response.status, 503)
  await response.text()
})

t.test('D1: over HTTP/2 the reply waits for its tasks, and is a 503 where they cannot be stored', async (t) => {
  const task = recorder('task')
  const engine = new MemoryEngine({ local: true })
  const app = await createHttp2App(t, { engine, tasks: [task] })
  app.get('/', async (_, reply) => {
    reply.background.addTask(task)
    return 'ok'
  })
  const { port } = await listen(app)
  const client = await http2Client(t, port)
  t.match(await read(get(client, '/')), { status: 200, body: 'ok' })
  await until(() => task.calls.length === 1)
  engine.gates.store = () => { throw AWAY }
  t.match(await read(get(client, '/')), { status: 503, body: /could not be stored/ })
  await app.background.idle()

  t.equal(task.calls.length, 1)
})

for (const [what, error] of [['a string', 'no room'], ['nothing', undefined], ['an object that cannot be read', Object.create(null)]] as const) {
  t.test(`D1: an engine that rejects with ${what} has failed to store all the same`, async (t) => {
    const task = recorder('task')
    const { app, engine } = await createDurableApp(t, { tasks: [task] })
    engine.gates.store = () => { throw error }
    const run = app.background.addTask(task)

    await t.rejects(run.stored(), { code: STORE_FAILED })
    t.equal((run.error as Error).cause, error)
  })
}
