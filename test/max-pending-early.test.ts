import t from 'tap'
import Fastify, { type FastifyInstance } from 'fastify'
import background from '../lib/index'
import { createApp, listen, memoryLogger } from './helpers/app'
import { counts } from './helpers/counts'
import { until } from './helpers/latch'
import { assertRefused, noStart, occupy } from './helpers/limited'
import { manyTurns } from './helpers/reply'

const { BackgroundTasks } = background
const ERROR = 50 // pino's level
const FULL = { code: 'FST_ERR_BACKGROUND_QUEUE_FULL' }

t.test('L3: an earlier hook that catches the refusal of its own task does not catch that of the route', async (t) => {
  const { logger, lines } = memoryLogger('error')
  const app = await createApp(t, { maxPending: 1 }, { logger })
  const caught: unknown[] = []
  let handled = 0
  app.addHook('onRequest', async (_, reply) => {
    try {
      reply.background.addTask(function audit () {})
    } catch (error) {
      caught.push(error)
    }
  })
  app.get('/', { background: noStart }, async () => { handled++ })
  const { url } = await listen(app)
  const open = await occupy(app, 1)

  await assertRefused(t, url, { message: /"noStart"/ })
  await manyTurns()
  t.match(caught, [{ ...FULL, message: /"audit"/ }])
  t.equal(handled, 0)
  t.match(lines, [{ level: ERROR, err: FULL }])
  t.equal(lines.length, 1, 'told once')
  t.strictSame(app.background.stats(), counts({ accepted: 1, active: 1 }))
  open()
})

t.test('L3: where an earlier hook looks at the queue and replies itself, the refusal takes the place of its reply, once', async (t) => {
  const { logger, lines } = memoryLogger('error')
  const app = await createApp(t, { maxPending: 2 }, { logger })
  const seen: string[] = []
  app.addHook('onRequest', async (_, reply) => {
    try {
      reply.background.addTask(() => { seen.push('audit') })
    } catch {
      seen.push('caught')
    }
    return await reply.header('etag', '"1"').send('from the hook')
  })
  app.addHook('onError', async () => { seen.push('onError') })
  app.get('/', { background: new BackgroundTasks([noStart, noStart]) }, async () => { seen.push('handler') })
  const { url } = await listen(app)
  const open = await occupy(app, 1)

  await assertRefused(t, url)
  open()
  await app.background.idle()
  await manyTurns()

  t.strictSame(seen, ['onError', 'audit'])
  t.match(lines, [{ level: ERROR, err: FULL }])
  t.equal(lines.length, 1, 'told once')
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 2 }))
})

t.test('L3: where an earlier hook looks at the queue and hijacks the reply, the refusal is told in the log, once', async (t) => {
  const { logger, lines } = memoryLogger('error')
  const app = await createApp(t, { maxPending: 1 }, { logger })
  const sizes: number[] = []
  app.addHook('onRequest', async (_, reply) => {
    sizes.push(reply.background.size)
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
  await manyTurns()
  t.strictSame(sizes, [0])
  t.match(lines, [{ level: ERROR, err: FULL }])
  t.equal(lines.length, 1, 'told once')
  t.strictSame(app.background.stats(), counts({ accepted: 1, active: 1 }))
  open()
})

t.test('A2: the tasks of a route declared before the plugin are refused before the handler, though an earlier hook looked at the queue', async (t) => {
  const { logger, lines } = memoryLogger('error')
  const app: FastifyInstance = Fastify({ logger })
  t.teardown(() => app.close())
  const sizes: number[] = []
  let handled = 0
  app.addHook('onRequest', async (_, reply) => { sizes.push(reply.background.size) })
  app.get('/', { config: { background: noStart } }, async () => { handled++ })
  await app.register(background, { maxPending: 1 })
  const { url } = await listen(app)
  const open = await occupy(app, 1)

  await assertRefused(t, url)
  await manyTurns()
  t.strictSame(sizes, [0])
  t.equal(handled, 0)
  t.equal(lines.length, 1, 'told once')
  t.strictSame(app.background.stats(), counts({ accepted: 1, active: 1 }))
  open()
})
