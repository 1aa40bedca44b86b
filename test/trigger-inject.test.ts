import t from 'tap'
import { Readable } from 'node:stream'
import type background from '../lib/index'
import { createApp } from './helpers/app'
import { counts } from './helpers/counts'
import { latch } from './helpers/latch'
import { closed, manyTurns } from './helpers/reply'

t.test('T2: tasks of an injected request run, and idle() waits for them', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  app.get('/', { background: () => { ran.push('route') } }, async (_, reply) => {
    reply.background.addTask(async () => {
      await manyTurns()
      ran.push('reply')
    })
    return 'ok'
  })

  const response = await app.inject('/')
  t.equal(response.body, 'ok')
  t.strictSame(ran, [], 'the reply comes first')
  await app.background.idle()

  t.strictSame(ran, ['route', 'reply'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 2 }))
})

t.test('T2: the tasks of many awaited injects in a row all run, those of each in order', async (t) => {
  const app = await createApp(t)
  const ran: Record<string, string[]> = {}
  app.get<{ Params: { n: string } }>('/:n', {
    background: (request) => { ran[request.params.n] = ['route'] }
  }, async (request, reply) => {
    reply.background.addTask((n: string) => { ran[n].push('reply') }, request.params.n)
    return 'ok'
  })

  for (let n = 0; n < 200; n++) await app.inject(`/${n}`)
  await app.background.idle()

  t.equal(Object.keys(ran).length, 200)
  for (const order of Object.values(ran)) t.strictSame(order, ['route', 'reply'])
  t.strictSame(app.background.stats(), counts({ accepted: 400, completed: 400 }))
})

t.test('T4: the status of an injected request decides', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  app.get('/', { background: () => { ran.push('route') } }, async (_, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    return reply.code(500).send('x')
  })

  t.equal((await app.inject('/')).statusCode, 500)
  await app.background.idle()

  t.strictSame(ran, ['reply'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 1, discarded: 1 }))
})

t.test('T1: a streamed reply to an injected request is over with its last chunk', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  const body = new Readable({ read () {} })
  app.get('/', { background: () => { ran.push('route') } }, async (_, reply) => reply.send(body))

  body.push('first')
  const response = await app.inject({ url: '/', payloadAsStream: true })
  await manyTurns()
  t.strictSame(ran, [])
  body.push(null)
  t.equal(await response.stream().setEncoding('utf8').reduce((text, chunk) => text + chunk, ''), 'first')
  await app.background.idle()

  t.strictSame(ran, ['route'])
})

t.test('T2: tasks run when an injected request is aborted before the reply', async (t) => {
  const app = await createApp(t)
  const entered = latch()
  const controller = new AbortController()
  const ran: string[] = []
  app.get('/', { background: () => { ran.push('route') } }, async (_, reply) => {
    const left = closed(reply)
    reply.background.addTask(() => { ran.push('before') })
    entered.open()
    await left
    reply.background.addTask(() => { ran.push('after') })
    return 'too late'
  })

  const response = app.inject({ url: '/', signal: controller.signal })
  const rejected = t.rejects(response)
  await entered
  controller.abort()
  await rejected
  await app.background.idle()

  t.strictSame(ran, ['route', 'before', 'after'])
})

t.test('T2: tasks of an injected request run beside an onResponse hook that throws', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  app.addHook('onResponse', async () => { throw new Error('x') })
  app.get('/', { background: () => { ran.push('route') } }, async () => 'ok')

  await app.inject('/')
  await app.background.idle()

  t.strictSame(ran, ['route'])
})

t.test('T3: a task added to an injected request after its reply runs, whether it is the first or not', async (t) => {
  const app = await createApp(t)
  let add: ((name: string) => background.TaskRun) | undefined
  const ran: string[] = []
  app.get('/', async (_, reply) => {
    add = (name) => reply.background.addTask(() => { ran.push(name) })
    return 'ok'
  })

  await app.inject('/')
  await add!('first').finished()
  await add!('second').finished()

  t.strictSame(ran, ['first', 'second'])
})

t.test('T3: a task added in an onResponse hook of an injected request runs', async (t) => {
  const app = await createApp(t)
  const done = latch()
  const ran: string[] = []
  app.addHook('onResponse', async (_, reply) => {
    reply.background.addTask(() => { ran.push('onResponse') }).finished().then(() => done.open())
  })
  app.get('/', async () => 'ok')

  await app.inject('/')
  await done

  t.strictSame(ran, ['onResponse'])
})
