import fp from 'fastify-plugin'
import Fastify, { type FastifyReply } from 'fastify'
import t from 'tap'
import background from '../lib/index'
import { createApp } from './helpers/app'
import { beside } from './helpers/beside'
import { beginClose } from './helpers/closing'
import { counts } from './helpers/counts'
import { latch, turn, until } from './helpers/latch'
import { manyTurns } from './helpers/reply'
import { serve } from './helpers/serve'

const { BackgroundTask, BackgroundTasks } = background

t.test('L1: an application without tasks closes', async (t) => {
  const app = await createApp(t)
  await app.ready()
  await app.close()

  t.strictSame(app.background.stats(), counts())
})

t.test('L1: an application that has not been ready closes', async (t) => {
  const app = Fastify()
  app.register(background)
  await app.close()

  t.strictSame(app.background.stats(), counts())
})

t.test('L1: a task that was added before the application was ready is waited for', async (t) => {
  const app = await createApp(t)
  const run = app.background.addTask(() => manyTurns())
  await app.close()

  t.equal(run.state, 'completed')
})

t.test('L1: close waits for a task at work', async (t) => {
  const app = await createApp(t)
  const go = latch()
  const run = app.background.addTask(() => go)
  await until(() => run.state === 'active')
  const { closed, isClosed } = beginClose(app)
  await manyTurns()

  t.notOk(isClosed())
  t.equal(run.state, 'active')
  go.open()
  await closed
  t.equal(run.state, 'completed')
})

t.test('L1: close waits for tasks that wait for others', async (t) => {
  const app = await createApp(t)
  const go = latch()
  const ran: string[] = []
  const note = (name: string): void => { ran.push(name) }
  let first!: background.TaskRun
  await serve(app, (reply) => {
    first = reply.background.addTask(() => go)
    reply.background.addTask(note, 'a')
    reply.background.addTasks(new BackgroundTasks().addTask(note, 'b').addTask(note, 'c'))
  })
  await until(() => first.state === 'active')
  const { closed, isClosed } = beginClose(app)
  await manyTurns()

  t.notOk(isClosed())
  t.strictSame(app.background.stats(), counts({ accepted: 4, active: 1, queued: 3 }))
  go.open()
  await closed
  t.strictSame(ran, ['a', 'b', 'c'])
  t.strictSame(app.background.stats(), counts({ accepted: 4, completed: 4 }))
})

t.test('L1: close waits for tasks of a reply that has just left', async (t) => {
  const app = await createApp(t)
  const runs: background.TaskRun[] = []
  await serve(app, (reply) => { runs.push(...reply.background.addTasks([() => turn(), () => turn()])) })
  await app.close()

  t.strictSame(runs.map((run) => run.state), ['completed', 'completed'])
})

t.test('L1: close waits for a task that fails', async (t) => {
  const app = await createApp(t)
  const go = latch()
  const run = app.background.addTask(async () => {
    await go
    throw new Error('broken')
  })
  await until(() => run.state === 'active')
  const { closed } = beginClose(app)
  await manyTurns()
  go.open()
  await closed

  t.equal(run.state, 'failed')
})

t.test('L1: close may be called twice', async (t) => {
  const app = await createApp(t)
  const go = latch()
  const run = app.background.addTask(() => go)
  await until(() => run.state === 'active')
  const first = beginClose(app)
  const second = beginClose(app)
  await manyTurns()

  t.notOk(first.isClosed())
  t.notOk(second.isClosed())
  go.open()
  await Promise.all([first.closed, second.closed])
  t.equal(run.state, 'completed')
  await app.close()
})

t.test('L1: a task may begin the close that waits for it', async (t) => {
  const app = await createApp(t)
  const begun = latch<Promise<unknown>>()
  const run = app.background.addTask(async () => {
    begun.open(Promise.resolve(app.close()).then(() => run.state))
    await manyTurns()
    return 'done'
  })

  t.equal(await begun, 'completed')
  t.equal(run.result, 'done')
})

const besideDatabase = beside('the database', async (app) => {
  await app.register(fp(async function database (app) {
    const database = { open: true, log: [] as string[] }
    app.decorate('database', database)
    app.addHook('onClose', async () => {
      database.open = false
      database.log.push('closed')
    })
  }))
})

interface Database { open: boolean, log: string[] }

besideDatabase('L1: a task at work may use the database while the application closes', async (t, app) => {
  const database = app.getDecorator<Database>('database')
  const go = latch()
  const run = app.background.addTask(async () => {
    await go
    use(database, 'outside')
    app.background.addTask(use, database, 'added')
  })
  await until(() => run.state === 'active')
  const { closed } = beginClose(app)
  await manyTurns()
  go.open()
  await closed

  t.strictSame(database.log, ['outside: open', 'added: open', 'closed'])
})

besideDatabase('L1: the tasks of a reply may use the database while the application closes', async (t, app) => {
  const database = app.getDecorator<Database>('database')
  const go = latch()
  app.get('/route', { background: () => use(database, 'route') }, async (request, reply) => {
    reply.background.addTask(() => go)
    reply.background.addTask(use, database, 'reply')
    return 'ok'
  })
  await app.inject('/route')
  await until(() => app.background.stats().active === 1 && app.background.stats().completed === 1)
  const { closed } = beginClose(app)
  await manyTurns()
  go.open()
  await closed

  t.strictSame(database.log, ['route: open', 'reply: open', 'closed'])
})

t.test('L1: tasks are waited for before a plugin of an inner context closes', async (t) => {
  const app = await createApp(t)
  const events: string[] = []
  await app.register(async (inner) => {
    inner.addHook('onClose', async () => { events.push('inner plugin closed') })
    inner.background.addTask(async () => {
      await manyTurns()
      events.push('task ended')
    })
  })
  await app.close()

  t.strictSame(events, ['task ended', 'inner plugin closed'])
})

t.test('L1: a plugin of an inner context waits for its tasks, too', async (t) => {
  const app = Fastify()
  let run!: background.TaskRun
  await app.register(async (inner) => {
    await inner.register(background)
    run = inner.background.addTask(() => manyTurns())
  })
  await app.close()

  t.equal(run.state, 'completed')
})

t.test('L2: tasks that tasks add while the application closes run', async (t) => {
  const app = await createApp(t)
  const go = latch()
  const ran: string[] = []
  let run!: background.TaskRun
  await serve(app, (reply) => {
    run = reply.background.addTask(async () => {
      await go
      addMore(reply, 1)
    })
  })
  function addMore (reply: FastifyReply, depth: number): void {
    ran.push(`depth ${depth}`)
    if (depth === 4) return
    reply.background.addTask(async () => {
      await turn()
      app.background.addTask(new BackgroundTask(addMore, reply, depth + 1))
    })
  }
  await until(() => run.state === 'active')
  const { closed } = beginClose(app)
  await manyTurns()
  go.open()
  await closed

  t.strictSame(ran, ['depth 1', 'depth 2', 'depth 3', 'depth 4'])
  t.strictSame(app.background.stats(), counts({ accepted: 7, completed: 7 }))
})

t.test('L2: after the close nothing is accepted', async (t) => {
  const app = await createApp(t)
  let reply!: FastifyReply
  let ran = 0
  function late (): void { ran++ }
  await serve(app, (current) => {
    reply = current
    reply.background.addTask(() => {})
  })
  await app.close()
  const before = app.background.stats()
  const expected = { code: 'FST_ERR_BACKGROUND_CLOSED', statusCode: 503, message: 'Background task "late" refused: the application has closed' }

  for (const { background } of [app, reply]) {
    t.throws(() => background.addTask(late), expected)
    t.throws(() => background.addTask(new BackgroundTask(late)), expected)
    t.throws(() => background.addTasks([late]), expected)
    t.throws(() => background.addTasks(new BackgroundTasks([late])), expected)
  }
  await manyTurns()
  t.equal(ran, 0)
  t.equal(reply.background.size, 0)
  t.strictSame(app.background.stats(), before)
  await app.background.idle()
})

t.test('L2: a wrong task is a wrong task after the close, too', async (t) => {
  const app = await createApp(t)
  await app.close()

  t.throws(() => app.background.addTask(null as never), { code: 'FST_ERR_BACKGROUND_INVALID_TASK' })
})

t.test('L1: an application closes with the longest closeTimeout that is allowed', async (t) => {
  // As many hooks as it can take: 800 times the time that each of them is given.
  const app = await createApp(t, { closeTimeout: 3_600_000 }, { pluginTimeout: 4_500 })
  const run = app.background.addTask(() => turn())
  await app.close()

  t.equal(run.state, 'completed')
})

function use (database: Database, what: string): void {
  database.log.push(`${what}: ${database.open ? 'open' : 'closed'}`)
}
