import t from 'tap'
import { once } from 'node:events'
import { connect } from 'node:http2'
import { BackgroundTask } from '../lib/index'
import { dispatch } from '../lib/dispatcher'
import { createApp, listen } from './helpers/app'
import { latch } from './helpers/latch'

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
