import t from 'tap'
import type background from '../lib/index'
import { createApp, listen } from './helpers/app'
import { counts } from './helpers/counts'
import { latch } from './helpers/latch'
import { closed, manyTurns } from './helpers/reply'
import { head, rawClient } from './helpers/tcp'

t.test('T3: a task added by a task runs, after those that were there before', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  app.get('/', async (_, reply) => {
    const { background } = reply
    background.addTask(() => {
      ran.push('first')
      background.addTask(() => {
        ran.push('added by first')
        background.addTasks([() => { ran.push('added by the added 1') }, () => { ran.push('added by the added 2') }])
      })
    })
    background.addTask(() => { ran.push('second') })
    return 'ok'
  })
  const { url } = await listen(app)

  await fetch(url)
  await app.background.idle()

  t.strictSame(ran, ['first', 'second', 'added by first', 'added by the added 1', 'added by the added 2'])
  t.strictSame(app.background.stats(), counts({ accepted: 5, completed: 5 }))
})

t.test('T3: a task added by a task that then fails runs', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  app.get('/', async (_, reply) => {
    reply.background.addTask(async () => {
      reply.background.addTask(() => { ran.push('added') })
      throw new Error('x')
    })
    return 'ok'
  })
  const { url } = await listen(app)

  await fetch(url)
  await app.background.idle()

  t.strictSame(ran, ['added'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 1, failed: 1 }))
})

t.test('T3: a task added by a member of a group runs after the whole group', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  app.get('/', async (_, reply) => {
    reply.background.addTasks([
      () => {
        ran.push('one')
        reply.background.addTask(() => { ran.push('added') })
      },
      () => { ran.push('two') }
    ])
    return 'ok'
  })
  const { url } = await listen(app)

  await fetch(url)
  await app.background.idle()

  t.strictSame(ran, ['one', 'two', 'added'])
})

t.test('T3: a task added while another of the reply is at work waits for it', async (t) => {
  const app = await createApp(t)
  const added = latch<() => background.TaskRun>()
  const active = latch()
  const release = latch()
  const ran: string[] = []
  app.get('/', async (_, reply) => {
    reply.background.addTask(async () => {
      active.open()
      await release
      ran.push('first')
    })
    added.open(() => reply.background.addTask(() => { ran.push('late') }))
    return 'ok'
  })
  const { url } = await listen(app)

  await fetch(url)
  await active
  const add = await added
  const run = add()
  await manyTurns()
  t.equal(run.state, 'queued')
  release.open()
  await app.background.idle()

  t.strictSame(ran, ['first', 'late'])
})

t.test('T3: a task added after the reply has settled and all its tasks are done runs, again and again', async (t) => {
  const app = await createApp(t)
  const added = latch<(name: string) => background.TaskRun>()
  const ran: string[] = []
  app.get('/', { background: () => { ran.push('route') } }, async (_, reply) => {
    added.open((name) => reply.background.addTask(() => { ran.push(name) }))
    return 'ok'
  })
  const { url } = await listen(app)

  await fetch(url)
  const add = await added
  await app.background.idle()
  t.strictSame(ran, ['route'])
  await add('late').finished()
  await add('later').finished()

  t.strictSame(ran, ['route', 'late', 'later'])
  t.strictSame(app.background.stats(), counts({ accepted: 3, completed: 3 }))
})

t.test('T3: a task runs when the first look at reply.background comes after the reply', async (t) => {
  const app = await createApp(t)
  const added = latch<() => background.TaskRun>()
  const over = latch()
  const ran: string[] = []
  app.get('/', async (_, reply) => {
    closed(reply).then(over.open)
    added.open(() => reply.background.addTask(() => { ran.push('late') }))
    return 'ok'
  })
  const { url } = await listen(app)

  await fetch(url)
  const add = await added
  await over
  await add().finished()

  t.strictSame(ran, ['late'])
})

t.test('T3: a task runs when the first look at reply.background comes in an onResponse hook', async (t) => {
  const app = await createApp(t)
  const done = latch()
  const ran: string[] = []
  app.addHook('onResponse', async (_, reply) => {
    reply.background.addTask(() => { ran.push('onResponse') }).finished().then(() => done.open())
  })
  app.get('/', async () => 'ok')
  const { url } = await listen(app)

  await fetch(url)
  await done

  t.strictSame(ran, ['onResponse'])
  t.strictSame(app.background.stats(), counts({ accepted: 1, completed: 1 }))
})

t.test('T3: a task that a handler adds after its reply has been read runs, on a connection that goes on', async (t) => {
  const app = await createApp(t)
  const release = latch()
  const added = latch()
  const ran: string[] = []
  app.get('/', async (_, reply) => {
    reply.send('ok')
    await release
    reply.background.addTask(() => { ran.push('late') })
    added.open()
  })
  app.get('/next', async () => 'next')
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(head('GET', '/'))
  await client.receives('ok')
  client.socket.write(head('GET', '/next'))
  await client.receives('next')
  release.open()
  await added
  await app.background.idle()

  t.strictSame(ran, ['late'])
  client.leave()
})
