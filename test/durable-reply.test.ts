import t from 'tap'
import background from '../lib/index'
import { listen, memoryLogger } from './helpers/app'
import { counts } from './helpers/counts'
import { latch, until } from './helpers/latch'
import { createDurableApp } from './helpers/memory-engine'
import { onEvent } from './helpers/policies'
import { closed, manyTurns } from './helpers/reply'
import { serve } from './helpers/serve'
import { head, rawClient } from './helpers/tcp'
import { unhandledRejections } from './helpers/unhandled'

const { BackgroundTask, defineTask } = background

const mail = defineTask((_to: string) => {}, { name: 'mail', durable: true })
const audit = defineTask(() => {}, { name: 'audit', durable: true })
const refuse = async (): Promise<never> => { throw new Error('the disk is full') }

t.test('D1: the durable tasks of a reply are stored with one call, and the reply leaves after that', async (t) => {
  const { app, engine } = await createDurableApp(t, [mail, audit])
  const store = latch()
  engine.onStore = () => store
  let finished = false
  app.get('/', { background: new BackgroundTask(audit) }, async (_, reply) => {
    reply.raw.on('finish', () => { finished = true })
    reply.background.addTask(mail, 'ada@example.com')
    reply.background.addTask(() => {})
    return 'ok'
  })
  const { url } = await listen(app)
  const response = fetch(url)
  await until(() => engine.stores.length > 0)
  await manyTurns()
  t.notOk(finished)
  t.equal(engine.tasks.size, 0)
  store.open()

  t.equal((await response).status, 200)
  await app.background.idle()
  t.strictSame(engine.stores, [['audit', 'mail']])
  t.match([...engine.tasks.values()], [{ name: 'audit', args: [], reqId: 'req-1' }, { name: 'mail', args: ['ada@example.com'] }])
  t.strictSame(app.background.stats(), counts({ accepted: 3, completed: 1, stored: 2 }))
})

for (const [when, status, expected] of [
  ['success', 200, true], ['success', 404, false], ['error', 200, false], ['error', 500, true], ['always', 500, true],
  [(_: unknown, reply: { statusCode: number }) => reply.statusCode === 201, 201, true],
  [(_: unknown, reply: { statusCode: number }) => reply.statusCode === 201, 200, false]
] as const) {
  t.test(`D1: a durable task with when: ${String(when)} is ${expected ? '' : 'not '}stored at ${status}`, async (t) => {
    const task = defineTask(() => {}, { name: 'task', durable: true, when: when as never })
    const { app, engine } = await createDurableApp(t, [task])
    await serve(app, (reply) => {
      reply.code(status)
      reply.background.addTask(task)
    })
    await app.background.idle()

    t.strictSame(engine.stores, expected ? [['task']] : [])
    t.strictSame(app.background.stats(), counts({ accepted: 1, ...expected ? { stored: 1 } : { discarded: 1 } }))
  })
}

t.test('D1: what a handler has added and then throws is decided by the status of the error', async (t) => {
  const onError = defineTask(() => {}, { name: 'on error', durable: true, when: 'error' })
  const onSuccess = defineTask(() => {}, { name: 'on success', durable: true, when: 'success' })
  const { app, engine } = await createDurableApp(t, [onError, onSuccess])
  const { statusCode } = await serve(app, (reply) => {
    reply.background.addTasks([onSuccess, onError] as never)
    throw new Error('broken')
  })
  await app.background.idle()

  t.equal(statusCode, 500)
  t.strictSame(engine.stores, [['on error']])
})

t.test('D1: a web Response brings the status that counts', async (t) => {
  const onSuccess = defineTask(() => {}, { name: 'on success', durable: true, when: 'success' })
  const { app, engine } = await createDurableApp(t, [onSuccess])
  app.get('/', async (_, reply) => {
    reply.background.addTask(onSuccess)
    return new Response('gone', { status: 410 })
  })
  t.equal((await app.inject('/')).statusCode, 410)
  await app.background.idle()

  t.strictSame(engine.stores, [])
})

t.test('D1: a task of a route that does not exist is stored by its 404', async (t) => {
  const { app, engine } = await createDurableApp(t, [audit])
  app.addHook('onRequest', async (_, reply) => { reply.background.addTask(audit) })

  t.equal((await app.inject('/nowhere')).statusCode, 404)
  t.strictSame(engine.stores, [['audit']])
})

t.test('D1: a reply whose durable tasks cannot be stored becomes a 503, and the others follow their own conditions', async (t) => {
  const { logger, lines } = memoryLogger('error')
  const reported: string[] = []
  const { app, engine } = await createDurableApp(t, [mail, audit], { onTaskError: (_, { name }) => { reported.push(name) } }, { logger })
  engine.onStore = refuse
  const ran: string[] = []
  const plain = (name: string, when: background.When): background.TaskDefinition<[]> => defineTask(() => { ran.push(name) }, { name, when })
  const runs: background.TaskRun[] = []
  const response = await serve(app, (reply) => {
    runs.push(reply.background.addTask(mail, 'ada@example.com'), reply.background.addTask(audit))
    reply.background.addTask(plain('on success', 'success'))
    reply.background.addTask(plain('on error', 'error'))
    reply.background.addTask(plain('always', 'always'))
  })
  await app.background.idle()

  t.equal(response.statusCode, 503)
  t.match(response.json(), {
    code: 'FST_ERR_BACKGROUND_STORE_FAILED', message: 'Background task "mail", "audit" could not be stored: the disk is full'
  })
  t.strictSame(engine.stores.length, 1)
  t.strictSame(ran, ['on error', 'always'])
  t.strictSame(reported, ['mail', 'audit'])
  t.match(runs, [{ state: 'failed', error: { cause: { message: 'the disk is full' } } }, { state: 'failed' }])
  t.match(lines, [
    { msg: 'background task failed', task: 'mail', taskId: runs[0].id, reqId: 'req-1' },
    { msg: 'background task failed', task: 'audit', taskId: runs[1].id },
    { err: { code: 'FST_ERR_BACKGROUND_STORE_FAILED' } }
  ])
  t.strictSame(app.background.stats(), counts({ accepted: 5, completed: 2, failed: 2, discarded: 1 }))
})

for (const local of [true, false]) {
  t.test(`D1: a store that takes longer than storeTimeout is a 503, and what it does later does not count here (local: ${local})`, async (t) => {
    const unhandled = unhandledRejections(t)
    const { app, engine } = await createDurableApp(t, [audit], { storeTimeout: 5, local })
    const store = latch()
    engine.onStore = () => store
    const { statusCode, body } = await serve(app, (reply) => { reply.background.addTask(audit) })
    t.equal(statusCode, 503)
    t.match(body, /did not answer within 5 ms; it may still/)
    store.open()
    await manyTurns()

    t.equal(engine.tasks.size, 1)
    t.strictSame(engine.released, [])
    t.strictSame(app.background.stats(), counts({ accepted: 1, failed: 1 }))
    t.strictSame(unhandled, [])
  })
}

t.test('T1: what a local engine has stored may start when its reply has left', async (t) => {
  const { app, engine } = await createDurableApp(t, [audit], { local: true })
  const states: unknown[] = []
  let run!: background.TaskRun
  app.get('/', async (_, reply) => {
    reply.raw.prependListener('finish', () => { states.push(run.state, [...engine.released]) })
    run = reply.background.addTask(audit)
    return 'ok'
  })
  const { url } = await listen(app)
  await fetch(url)
  await until(() => engine.released.length > 0)

  t.strictSame(states, ['queued', []])
  t.strictSame(engine.released, [run.id])
  t.strictSame(await engine.deliver(engine.only), { state: 'completed', result: undefined })
  t.strictSame(app.background.stats(), counts({ accepted: 1, completed: 1 }))
})

t.test('T2: a client that leaves before the reply costs no durable task', async (t) => {
  const { app, engine } = await createDurableApp(t, [audit], { local: true })
  const entered = latch()
  const gone = latch()
  app.get('/', async (_, reply) => {
    entered.open()
    await closed(reply)
    reply.background.addTask(audit)
    gone.open()
    return 'too late'
  })
  const { port } = await listen(app)
  const { socket, leave } = await rawClient(port)
  socket.write(head('GET', '/'))
  await entered
  leave()
  await gone
  await until(() => engine.released.length > 0)

  t.strictSame(engine.stores, [['audit']])
})

t.test('D1: on a hijacked reply durable tasks are stored when it has settled', async (t) => {
  const { app, engine } = await createDurableApp(t, [audit], { local: true })
  const go = latch()
  app.get('/', (_, reply) => {
    reply.hijack()
    reply.background.addTask(audit)
    go.then(() => reply.raw.end('hijacked'))
  })
  const { url } = await listen(app)
  const response = fetch(url)
  await until(() => engine.stores.length > 0)
  t.strictSame(engine.released, [], 'it waits for the reply')
  go.open()
  await response
  await until(() => engine.released.length > 0)

  t.strictSame(engine.stores, [['audit']])
})

t.test('D1: tasks that are added after the reply, by a task, are stored at once, those of one go together', async (t) => {
  const { app, engine } = await createDurableApp(t, [audit, mail], { local: true })
  await serve(app, (reply) => {
    reply.background.addTask(function add () {
      reply.background.addTask(audit)
      reply.background.addTask(mail, 'ada@example.com')
    })
  })
  await until(() => engine.released.length === 2)

  t.strictSame(engine.stores, [['audit', 'mail']])
})

t.test('D1: a late task whose condition is not met is not stored', async (t) => {
  const onError = defineTask(() => {}, { name: 'on error', durable: true, when: 'error' })
  const { app, engine } = await createDurableApp(t, [onError])
  await serve(app, (reply) => { reply.background.addTask(() => { reply.background.addTask(onError) }) })
  await app.background.idle()
  await manyTurns()

  t.strictSame(engine.stores, [])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 1, discarded: 1 }))
})

t.test('D1: a task that is added while those before it are being stored is stored before the reply, too', async (t) => {
  const { app, engine } = await createDurableApp(t, [audit, mail])
  app.get('/', async (_, reply) => {
    engine.onStore = async () => {
      engine.onStore = undefined
      reply.background.addTask(mail, 'ada@example.com')
    }
    reply.background.addTask(audit)
    return 'ok'
  })
  await app.inject('/')

  t.strictSame(engine.stores, [['audit'], ['mail']])
})

t.test('L3: the tasks of a reply count as accepted and unfinished until they are stored', async (t) => {
  const { app, engine } = await createDurableApp(t, [audit], { maxPending: 1 })
  const store = latch()
  engine.onStore = () => store
  const sizes: number[] = []
  app.get('/', async (_, reply) => {
    reply.background.addTask(audit)
    sizes.push(reply.background.size)
    return 'ok'
  })
  const response = app.inject('/')
  await until(() => engine.stores.length > 0)
  t.throws(() => app.background.addTask(audit), { code: 'FST_ERR_BACKGROUND_QUEUE_FULL' })
  t.strictSame(app.background.stats(), counts({ accepted: 1, queued: 1 }))
  store.open()
  await response
  await app.background.idle()

  t.strictSame(sizes, [1])
  app.background.addTask(audit)
  t.strictSame(app.background.stats(), counts({ accepted: 2, queued: 1, stored: 1 }))
})

t.test('events: what a subscriber writes into the meta of a queued task goes with it', async (t) => {
  const { app, engine } = await createDurableApp(t, [audit])
  onEvent(t, app, 'queued', ({ meta }) => { if (meta !== undefined) meta.traceparent = '00-1-2-01' })
  await serve(app, (reply) => {
    reply.background.addTask(audit)
    reply.background.addTask(() => {})
  })

  t.match(engine.only, { meta: { traceparent: '00-1-2-01' } })
})
