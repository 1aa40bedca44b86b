import type { FastifyInstance, FastifyReply } from 'fastify'
import t from 'tap'
import type background from '../lib/index'
import { createApp } from './helpers/app'
import { ask, beginClose, connectTo, withDatabases } from './helpers/closing'
import { counts } from './helpers/counts'
import { latch, until, type Latch } from './helpers/latch'
import { manyTurns } from './helpers/reply'
import { head } from './helpers/tcp'

t.test('L1: the task of a client that stays connected is waited for', async (t) => {
  const app = await createApp(t)
  const go = latch()
  let run!: background.TaskRun
  app.get('/', async (request, reply) => {
    run = reply.background.addTask(() => go)
    return 'answer'
  })
  const client = await connectTo(app)
  client.socket.write(head('GET', '/', { connection: 'keep-alive' }))
  await client.receives('answer')
  await until(() => run.state === 'active')
  const { closed, isClosed } = beginClose(app)
  await manyTurns()

  t.notOk(isClosed())
  t.notOk(client.socket.readableEnded, 'the connection is open')
  go.open()
  await closed
  t.equal(run.state, 'completed')
})

t.test('L1: an idle connection does not keep the application from closing', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  app.get('/', { background: () => { ran.push('route') } }, async () => 'answer')
  const client = await connectTo(app)
  client.socket.write(head('GET', '/', { connection: 'keep-alive' }))
  await client.receives('answer')
  await app.close()

  t.strictSame(ran, ['route'])
})

t.test('L1: the tasks of a reply still in its handler are waited for before any plugin closes', async (t) => {
  const { app, events } = await withDatabases(t)
  const { entered, answer } = handler(app, events)
  const client = await connectTo(app)
  ask(client)
  await entered
  const { closed, isClosed } = beginClose(app)
  await manyTurns()

  t.strictSame(events, [])
  t.notOk(isClosed())
  answer.open()
  await client.receives('answer')
  await closed
  t.strictSame(events, ['early ran', 'late ran', 'preClose is over', 'later database closed', 'earlier database closed'])
})

t.test('L1: what a request adds after preClose is waited for before the plugins that were registered earlier close', async (t) => {
  const { app, events } = await withDatabases(t)
  const { entered, answer } = handler(app, events, { early: false })
  const client = await connectTo(app)
  ask(client)
  await entered
  // Nothing is known of tasks of this reply yet.
  const { closed } = beginClose(app)
  await until(() => events.includes('preClose is over'))
  answer.open()
  await closed

  t.strictSame(events.filter((event) => event !== 'later database closed'), ['preClose is over', 'late ran', 'earlier database closed'])
})

t.test('L1: what a request adds after the deadline is run all the same', async (t) => {
  const { app, events } = await withDatabases(t, { closeTimeout: 20 })
  const { entered, answer, runs } = handler(app, events)
  const client = await connectTo(app)
  ask(client)
  await entered
  const { closed } = beginClose(app)
  await until(() => events.includes('preClose is over'))
  t.strictSame(runs.map((run) => run.state), ['queued'], 'it is not the fault of its tasks')
  answer.open()
  await closed

  t.strictSame(runs.map((run) => run.state), ['completed', 'completed'])
  t.ok(events.indexOf('late ran') < events.indexOf('earlier database closed'))
})

t.test('L1: a reply whose client left, and whose handler goes on, is waited for', async (t) => {
  const { app, events } = await withDatabases(t)
  const { entered, answer, runs, left } = handler(app, events)
  const client = await connectTo(app)
  ask(client)
  await entered
  client.leave()
  await left
  const { closed } = beginClose(app)
  await manyTurns()

  t.strictSame(events, [])
  answer.open()
  await closed
  t.strictSame(runs.map((run) => run.state), ['completed', 'completed'])
  t.strictSame(events.slice(0, 3), ['early ran', 'late ran', 'preClose is over'])
})

t.test('L1: connections that the application breaks off at its close cost no task', async (t) => {
  const { app, events } = await withDatabases(t, { closeTimeout: 20 }, { forceCloseConnections: true })
  const { entered, answer, runs, left } = handler(app, events)
  const client = await connectTo(app)
  ask(client)
  await entered
  const { closed } = beginClose(app)
  await left
  answer.open()
  await closed

  t.strictSame(runs.map((run) => run.state), ['completed', 'completed'])
  t.ok(events.indexOf('late ran') < events.indexOf('earlier database closed'))
})

t.test('L1: a handler that never answers is settled as an error, so that close resolves', async (t) => {
  const app = await createApp(t, { closeTimeout: 20 })
  const ran: string[] = []
  const runs: background.TaskRun[] = []
  app.get('/', {
    background: function onSuccess () { ran.push('on success') }
  }, async (request, reply) => {
    runs.push(reply.background.addTask(() => { ran.push('always') }))
    await new Promise(() => {})
  })
  app.inject('/').catch(() => {}) // nobody will ever answer it
  await until(() => runs.length === 1)
  await app.close()

  t.strictSame(ran, ['always'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 1, discarded: 1 }))
})

t.test('L1: a handler that never answers to a client that has left does not keep the application from closing', async (t) => {
  const app = await createApp(t, { closeTimeout: 20 })
  const entered = latch()
  const left = latch()
  let run!: background.TaskRun
  app.get('/', async (request, reply) => {
    reply.raw.once('close', () => left.open())
    run = reply.background.addTask(() => 'done')
    entered.open()
    await new Promise(() => {})
  })
  const client = await connectTo(app)
  ask(client)
  await entered
  client.leave()
  await left
  await app.close()

  t.match(run, { state: 'completed', result: 'done' })
})

t.test('L1: at a closeTimeout of 0 the tasks of a handler that never answers are discarded', async (t) => {
  const app = await createApp(t, { closeTimeout: 0 })
  let ran = 0
  let run!: background.TaskRun
  app.get('/', async (request, reply) => {
    run = reply.background.addTask(() => { ran++ })
    await new Promise(() => {})
  })
  app.inject('/').catch(() => {}) // nobody will ever answer it
  await until(() => run !== undefined)
  await app.close()
  await manyTurns()

  t.equal(run.state, 'discarded')
  t.equal(ran, 0)
})

t.test('L2: a handler that answers after the close can add nothing, and its reply is a 503', async (t) => {
  const app = await createApp(t)
  const entered = latch()
  const answer = latch()
  app.get('/', async (request, reply) => {
    entered.open()
    await answer
    reply.background.addTask(() => {})
    return 'too late'
  })
  const response = app.inject('/')
  await Promise.all([entered, response.catch(() => {}), closeThenAnswer()])
  async function closeThenAnswer (): Promise<void> {
    await entered
    await app.close()
    answer.open()
  }

  t.match(await response, { statusCode: 503, body: /FST_ERR_BACKGROUND_CLOSED/ })
  t.strictSame(app.background.stats(), counts())
})

t.test('L2: a task that a task of an open reply adds while closing runs', async (t) => {
  const { app, events } = await withDatabases(t)
  const { entered, answer } = handler(app, events, {
    task (reply) { reply.background.addTask(() => { events.push('nested ran') }) }
  })
  const client = await connectTo(app)
  ask(client)
  await entered
  const { closed } = beginClose(app)
  await manyTurns()
  answer.open()
  await closed

  t.strictSame(events.slice(0, 4), ['early ran', 'late ran', 'nested ran', 'preClose is over'])
})

interface HandlerOptions {
  /** Whether a task is added before the handler waits, too. */
  early?: boolean
  /** What the first task does besides. */
  task?: (reply: FastifyReply) => void
}

/** Declares `GET /`, whose handler adds a task, waits for `answer`, adds another and replies with `answer`. */
function handler (app: FastifyInstance, events: string[], { early = true, task = () => {} }: HandlerOptions = {}): {
  entered: Latch, answer: Latch, left: Latch, runs: background.TaskRun[]
} {
  const entered = latch()
  const answer = latch()
  const left = latch()
  const runs: background.TaskRun[] = []
  function run (name: string, reply: FastifyReply): void {
    events.push(`${name} ran`)
    if (name === 'early') task(reply)
  }
  app.get('/', async (request, reply) => {
    if (early) runs.push(reply.background.addTask(run, 'early', reply))
    reply.raw.once('close', () => left.open())
    entered.open()
    await answer
    runs.push(reply.background.addTask(run, 'late', reply))
    return 'answer'
  })
  return { entered, answer, left, runs }
}
