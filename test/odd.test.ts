import t from 'tap'
import { once } from 'node:events'
import { connect } from 'node:http2'
import { Readable } from 'node:stream'
import { BackgroundTask } from '../lib/index'
import { dispatch } from '../lib/dispatcher'
import { createApp, listen } from './helpers/app'
import { latch } from './helpers/latch'
import { manyTurns } from './helpers/reply'

const INVALID = { code: 'FST_ERR_BACKGROUND_INVALID_TASK' }

t.test('A2: a list with a hole is refused, and nothing of it is accepted', async (t) => {
  const app = await createApp(t)
  const holey: Array<() => void> = [() => {}]
  holey[2] = () => {}

  t.throws(() => app.background.addTasks(holey), INVALID)
  t.throws(() => app.get('/', { background: holey }, async () => 'x'), INVALID)
  t.equal(app.background.stats().accepted, 0)
})

t.test('A2: a function whose name throws is accepted, as anonymous', async (t) => {
  const app = await createApp(t)
  const task = Object.defineProperty(() => {}, 'name', { get () { throw new Error('x') } })
  const runs = app.background.addTasks([new BackgroundTask(() => {}), task])
  await app.background.idle()

  t.equal(runs[1].name, 'anonymous')
  t.equal(app.background.stats().completed, 2)
})

t.test('R2: the dispatcher goes on after a start that throws', async (t) => {
  const thrown = latch<unknown>()
  const started = latch()
  const listeners = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.once('uncaughtException', (error) => thrown.open(error))
  dispatch({ start () { throw new Error('x') } })
  dispatch({ start: () => started.open() })
  t.match(await thrown, { message: 'x' })
  await started
  for (const listener of listeners) process.on('uncaughtException', listener)
})

t.test('T2: an HTTP/2 client that keeps its request open does not hold the tasks back', async (t) => {
  const app = await createApp(t, {}, { http2: true } as never)
  app.addContentTypeParser('application/octet-stream', (_request, payload, done) => { payload.resume(); done(null) })
  const ran = latch()
  app.post('/', async (_request, reply) => {
    reply.background.addTask(() => { ran.open() })
    return 'x'
  })
  const { url } = await listen(app)
  const session = connect(url)
  t.teardown(() => session.destroy())
  const request = session.request({ ':method': 'POST', ':path': '/', 'content-type': 'application/octet-stream' })
  request.write('abc')
  const [headers] = await once(request, 'response')
  request.resume()
  await ran
  t.equal(headers[':status'], 200)
  t.equal(request.writableEnded, false)
})

t.test('T4: the condition of a task that a condition adds is read once', async (t) => {
  let read = 0
  const app = await createApp(t, {
    when (_request, reply) {
      if (read++ === 0) reply.background.addTask(() => {})
      return true
    }
  })
  app.get('/', { background: () => {} }, async () => 'x')
  await app.inject('/')
  await app.background.idle()
  t.equal(read, 2)
  t.equal(app.background.stats().completed, 2)
})

t.test('A2: a class of the language is refused, a frozen class too', async (t) => {
  const app = await createApp(t)
  t.throws(() => app.background.addTask(Map as never), INVALID)
  t.throws(() => app.background.addTask(Object.freeze(class Frozen {}) as never), INVALID)
})

t.test("A1: an earlier hook hijacks the reply: the route's task is accepted when it has ended", async (t) => {
  const app = await createApp(t)
  const ran = latch()
  app.addHook('onRequest', (_request, reply) => {
    reply.hijack()
    reply.raw.end('mine')
  })
  app.get('/', { background: () => { ran.open() } }, async () => 'never')
  const { url } = await listen(app)
  t.equal(await (await fetch(url)).text(), 'mine')
  await ran
  t.equal(app.background.stats().accepted, 1)
})

for (const [before, after] of [[200, 500], [500, 200]]) {
  t.test(`T4: a status of ${after} that is set while a stream has not sent its first byte decides`, async (t) => {
    const app = await createApp(t)
    app.get('/', { background: () => {} }, (_request, reply) => {
      reply.code(before).send(new Readable({
        read () {
          reply.code(after)
          this.push('x')
          this.push(null)
        }
      }))
    })
    const { url } = await listen(app)
    t.equal((await fetch(url)).status, after)
    await app.background.idle()
    t.equal(app.background.stats().completed, after === 200 ? 1 : 0)
    t.equal(app.background.stats().discarded, after === 200 ? 0 : 1)
  })
}

t.test('L1: a reply that its handler ends while the application closes has its task before plugins close, however large', async (t) => {
  const app = await createApp(t)
  let database = 'open'
  const log: string[] = []
  app.addHook('onClose', async () => { database = 'closed' })
  const entered = latch()
  const gate = latch()
  app.get('/', async (_request, reply) => {
    reply.background.addTask(() => { log.push(database) })
    reply.header('connection', 'close')
    entered.open()
    await gate
    return 'x'.repeat(8 * 1024 * 1024)
  })
  const { url } = await listen(app)
  const reading = fetch(url).then((response) => response.text())
  await entered
  const closing = app.close()
  await manyTurns()
  gate.open()
  await Promise.all([closing, reading])
  t.strictSame(log, ['open'])
})
