import { Readable } from 'node:stream'
import t from 'tap'
import { createApp, listen, memoryLogger } from './helpers/app'
import { counts } from './helpers/counts'
import { assertRefused, noStart, occupy } from './helpers/limited'
import background from '../lib/index'

const ERROR = 50 // pino's level

t.test('L3: a route\'s refusal reaches the client where an earlier hook has opened the queue, and the hook\'s own task runs', async (t) => {
  const { logger, lines } = memoryLogger('error')
  const app = await createApp(t, { maxPending: 2 }, { logger })
  const ran: string[] = []
  let handled = 0
  app.addHook('onRequest', async (_, reply) => {
    reply.background.addTask(() => { ran.push('audit') })
  })
  app.get('/', { background: new background.BackgroundTasks([noStart, noStart]) }, async () => { handled++ })
  const { url } = await listen(app)
  const open = await occupy(app, 1)

  await assertRefused(t, url)
  open()
  await app.background.idle()

  t.equal(handled, 0)
  t.strictSame(ran, ['audit'])
  t.match(lines, [{ level: ERROR, err: { code: 'FST_ERR_BACKGROUND_QUEUE_FULL' } }])
  t.equal(lines.length, 1, 'told once')
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 2 }))
})

t.test('L3: a hook that looks at the queue and catches nothing of it does not answer for the route\'s refusal', async (t) => {
  const app = await createApp(t, { maxPending: 1 })
  const sizes: number[] = []
  app.addHook('onRequest', async (_, reply) => { sizes.push(reply.background.size) })
  app.get('/', { background: noStart }, async () => 'ok')
  const { url } = await listen(app)
  const open = await occupy(app, 1)

  t.equal((await fetch(url)).status, 503)
  t.strictSame(sizes, [0])
  open()
})

t.test('L3: a reply of an earlier hook becomes a 503 where its route\'s tasks are refused', async (t) => {
  const { logger, lines } = memoryLogger('error')
  const app = await createApp(t, { maxPending: 1 }, { logger })
  const stream = new Readable({ read () {} })
  app.addHook('onRequest', async (_, reply) => reply.send(stream))
  app.get('/', { background: noStart }, async () => 'never')
  const { url } = await listen(app)
  const open = await occupy(app, 1)

  const response = await fetch(url)
  t.equal(response.status, 503)
  t.match(await response.json(), { code: 'FST_ERR_BACKGROUND_QUEUE_FULL' })
  t.equal(lines.length, 1, 'told once')
  t.ok(stream.destroyed, 'what the hook would have sent is let go')
  open()
  await app.background.idle()
  t.strictSame(app.background.stats(), counts({ accepted: 1, completed: 1 }))
})

t.test('L3: a hook that turns the request away has the last word, and the refusal of the route\'s tasks is logged', async (t) => {
  const { logger, lines } = memoryLogger('warn')
  const app = await createApp(t, { maxPending: 1 }, { logger })
  app.addHook('onRequest', async (_, reply) => reply.code(401).send('who are you?'))
  app.get('/', { background: noStart }, async () => 'never')
  const { url } = await listen(app)
  const open = await occupy(app, 1)

  const response = await fetch(url)
  t.equal(response.status, 401)
  t.equal(await response.text(), 'who are you?')
  t.match(lines, [{ msg: 'background tasks of the route refused', err: { code: 'FST_ERR_BACKGROUND_QUEUE_FULL' } }])
  t.equal(lines.length, 1)
  open()
})
