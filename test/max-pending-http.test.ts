import t from 'tap'
import Fastify from 'fastify'
import background from '../lib/index'
import { createApp, listen, memoryLogger } from './helpers/app'
import { counts } from './helpers/counts'
import { until } from './helpers/latch'
import { assertRefused, noStart, occupy } from './helpers/limited'
import { manyTurns } from './helpers/reply'

const { BackgroundTask, BackgroundTasks } = background
const ERROR = 50 // pino's level

t.test('L3: a handler that lets the refusal pass answers 503, with Retry-After, and what it had added before runs', async (t) => {
  const { logger, lines } = memoryLogger('error')
  const app = await createApp(t, { maxPending: 2 }, { logger })
  const ran: string[] = []
  app.get('/', async (_, reply) => {
    reply.background.addTask(() => { ran.push('accepted') })
    reply.background.addTask(function second () { ran.push('refused') })
    return 'ok'
  })
  const { url } = await listen(app)
  const open = await occupy(app, 1)

  const response = await fetch(url)
  t.equal(response.status, 503)
  t.equal(response.headers.get('retry-after'), '10')
  t.strictSame(await response.json(), {
    statusCode: 503,
    code: 'FST_ERR_BACKGROUND_QUEUE_FULL',
    error: 'Service Unavailable',
    message: 'Background task "second" refused: maxPending is 2'
  })
  open()
  await app.background.idle()
  t.strictSame(ran, ['accepted'])
  t.match(lines, [{ level: ERROR, err: { code: 'FST_ERR_BACKGROUND_QUEUE_FULL' } }])

  t.equal((await fetch(url)).status, 200, 'there is room again')
  await app.background.idle()
  t.strictSame(ran, ['accepted', 'accepted', 'refused'])
})

t.test('L3: a handler that catches the refusal answers as it likes', async (t) => {
  const app = await createApp(t, { maxPending: 1 })
  app.get('/', async (_, reply) => {
    try {
      reply.background.addTask(noStart)
    } catch (error) {
      return await reply.code(202).send({ later: (error as { code: string }).code })
    }
  })
  const { url } = await listen(app)
  const open = await occupy(app, 1)

  const response = await fetch(url)
  t.equal(response.status, 202)
  t.equal(response.headers.get('retry-after'), null)
  t.strictSame(await response.json(), { later: 'FST_ERR_BACKGROUND_QUEUE_FULL' })
  t.strictSame(app.background.stats(), counts({ accepted: 1, active: 1 }))
  open()
})

t.test('L3: an error handler sees the refusal, and may set another wait', async (t) => {
  const app = await createApp(t, { maxPending: 1 })
  app.setErrorHandler((error: { code: string, statusCode: number }, request, reply) => {
    if (error.code !== 'FST_ERR_BACKGROUND_QUEUE_FULL') throw error
    reply.code(error.statusCode).header('retry-after', '3').send({ busy: true })
  })
  app.get('/handler', async (_, reply) => reply.background.addTask(noStart))
  app.get('/route', { background: noStart }, async () => 'ok')
  const { url } = await listen(app)
  const open = await occupy(app, 1)

  for (const path of ['/handler', '/route']) {
    const response = await fetch(url + path)
    t.equal(response.status, 503, path)
    t.equal(response.headers.get('retry-after'), '3')
    t.strictSame(await response.json(), { busy: true })
  }
  open()
})

for (const [what, tasks, runs] of [
  ['a function', noStart, 1],
  ['a list', [noStart, new BackgroundTask(noStart)], 2],
  ['a group', new BackgroundTasks([noStart, noStart, noStart]), 3]
] as const) {
  t.test(`L3: tasks of a route, ${what}, are refused as a whole before the handler runs`, async (t) => {
    const app = await createApp(t, { maxPending: 3 })
    let handled = 0
    app.get('/', { background: tasks as never }, async () => { handled++ })
    const { url } = await listen(app)
    const open = await occupy(app, 4 - runs)

    const response = await fetch(url)
    t.equal(response.status, 503)
    t.equal(response.headers.get('retry-after'), '10')
    t.match(await response.json(), { code: 'FST_ERR_BACKGROUND_QUEUE_FULL', message: 'Background task "noStart" refused: maxPending is 3' })
    await manyTurns()
    t.equal(handled, 0)
    t.strictSame(app.background.stats(), counts({ accepted: 4 - runs, active: 4 - runs }))

    open()
    await app.background.idle()
    t.equal((await fetch(url)).status, 200, 'there is room again')
    await app.background.idle()
    t.equal(handled, 1)
    t.strictSame(app.background.stats(), counts({ accepted: 4, completed: 4 - runs, failed: runs }))
  })
}

t.test('A2: config.background of a route declared before the plugin is refused before the handler runs', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  let handled = 0
  app.get('/', { config: { background: noStart } }, async () => { handled++ })
  await app.register(background, { maxPending: 1 })
  const { url } = await listen(app)
  const open = await occupy(app, 1)

  await assertRefused(t, url)
  t.equal(handled, 0)
  t.strictSame(app.background.stats(), counts({ accepted: 1, active: 1 }))
  open()
})

t.test('L3: tasks of a route whose reply a hook has hijacked are refused in the log, and the reply is left alone', async (t) => {
  const { logger, lines } = memoryLogger('error')
  const app = await createApp(t, { maxPending: 1 }, { logger })
  app.addHook('onRequest', async (_, reply) => {
    reply.hijack()
    reply.raw.end('hijacked')
  })
  app.get('/', { background: noStart }, async () => 'never')
  const { url } = await listen(app)
  const open = await occupy(app, 1)

  const response = await fetch(url)
  t.equal(response.status, 200)
  t.equal(await response.text(), 'hijacked')
  await until(() => lines.length > 0)
  t.match(lines, [{ level: ERROR, reqId: 'req-1', err: { code: 'FST_ERR_BACKGROUND_QUEUE_FULL' } }])
  t.strictSame(app.background.stats(), counts({ accepted: 1, active: 1 }))
  open()
})
