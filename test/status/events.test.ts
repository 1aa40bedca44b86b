import { channel } from 'node:diagnostics_channel'
import t from 'tap'
import type { Background } from '../../lib/background'
import background from '../../lib/index'
import { latch, until } from '../helpers/latch'
import { createAppWithStatus, openEvents } from '../helpers/status-app'
import { head, rawClient } from '../helpers/tcp'

const CHANNELS = ['fastify.background.task.taken', 'fastify.background.task.progress', 'tracing:fastify.background.task:start']

t.test('status: an event stream has the status at each change, and ends with the outcome', async (t) => {
  const { start, url } = await createAppWithStatus(t, { interval: 0, exposeResult: true }, { concurrency: 1 })
  const [free, half, go] = [latch(), latch(), latch()]
  const before = await start(() => free)
  const { run } = await start(async function () {
    await half
    this.progress(0.5)
    await go
    return 'done'
  })
  const events = await openEvents(`${url}/tasks/${run.id}`)

  t.equal(events.response.status, 200)
  t.equal(events.response.headers.get('content-type'), 'text/event-stream')
  t.equal(events.response.headers.get('cache-control'), 'no-store, no-transform')
  t.equal(events.response.headers.get('x-accel-buffering'), 'no')
  t.strictSame(await events.next(), { retry: '1000' })
  t.match(await events.next(), { data: { id: run.id, state: 'queued', attempt: 0 } })
  free.open()
  await before.run.finished()
  t.match(await events.next(), { data: { state: 'active', attempt: 1 } })
  half.open()
  t.match(await events.next(), { data: { state: 'active', progress: { value: 0.5 } } })
  go.open()
  const rest = await events.rest()
  t.match(rest, [{ event: 'end', data: { state: 'completed', finishedAt: run.finishedAt, result: 'done' } }])
  t.match(rest[0].id, /^[\w-]{16}$/)
})

t.test('status: the stream of a run that is over has its outcome, and ends', async (t) => {
  const { start, url } = await createAppWithStatus(t, { exposeErrors: true })
  const { run } = await start(() => { throw new Error('broken') })
  await run.finished()
  const events = await openEvents(`${url}/tasks/${run.id}`)

  t.match(await events.rest(), [{ retry: '1000' }, { event: 'end', data: { state: 'failed', error: { message: 'broken' } } }])
})

t.test('status: retries, cancels, discards and failures without an attempt are in the stream', async (t) => {
  const { start, url } = await createAppWithStatus(t, { interval: 0 }, { retries: 1, backoff: { delay: 1 }, concurrency: 1 })
  const go = latch()
  const first = await start(() => go)
  const failing = await start(() => { throw new Error('broken') })
  const cancelled = await start(() => {})
  const streams = await Promise.all([failing, cancelled].map(({ run }) => openEvents(`${url}/tasks/${run.id}`)))
  for (const stream of streams) t.match(await stream.status(), { state: 'queued' })
  cancelled.run.cancel()
  go.open()
  await first.run.finished()

  const [ofFailing, ofCancelled] = await Promise.all(streams.map((stream) => stream.rest()))
  t.match(ofFailing.at(-1), { event: 'end', data: { state: 'failed', attempt: 2 } })
  t.match(ofCancelled, [{ event: 'end', data: { state: 'cancelled' } }])
})

t.test('status: a listener that comes again is not told what it has seen', async (t) => {
  const { start, url } = await createAppWithStatus(t, { interval: 0 })
  const [more, go] = [latch(), latch()]
  const { run } = await start(async function () {
    this.progress(0.1)
    await more
    this.progress(0.2)
    await go
  })
  await until(() => run.progress !== undefined)
  const first = await openEvents(`${url}/tasks/${run.id}`)
  await first.next()
  const seen = await first.next()
  first.leave()
  const again = await openEvents(`${url}/tasks/${run.id}`, { 'last-event-id': seen!.id! })
  more.open()

  t.match(seen, { data: { progress: { value: 0.1 } } })
  t.match(await again.next(), { retry: '1000' })
  t.match(await again.next(), { data: { progress: { value: 0.2 } } })
  go.open()
  t.match(await again.rest(), [{ event: 'end', data: { state: 'completed' } }])
})

t.test('status: a listener that comes again after the end is told not to, by 204', async (t) => {
  const { start, url } = await createAppWithStatus(t)
  const { run } = await start(() => {})
  await run.finished()
  const [, end] = await (await openEvents(`${url}/tasks/${run.id}`)).rest()
  const again = await openEvents(`${url}/tasks/${run.id}`, { 'last-event-id': end.id! })

  t.equal(again.response.status, 204)
  t.equal(await again.response.text(), '')
  const other = await openEvents(`${url}/tasks/${run.id}`, { 'last-event-id': 'made up' })
  t.equal(other.response.status, 200)
  t.equal((await other.rest()).length, 2)
})

t.test('status: between two events of one state a stream waits, and has the last one only', async (t) => {
  const { start, url } = await createAppWithStatus(t, { interval: 60_000 })
  const go = latch()
  const { run } = await start(async function () {
    await go
    for (let i = 1; i <= 1_000; i++) this.progress(i / 1_000)
  })
  const events = await openEvents(`${url}/tasks/${run.id}`)
  await events.status()
  go.open()

  t.ok((await events.rest()).length <= 2, 'the end comes at once all the same')
})

t.test('status: after the wait there is an event again', async (t) => {
  const { start, url } = await createAppWithStatus(t, { interval: 1 })
  const [first, second, go] = [latch(), latch(), latch()]
  const { run } = await start(async function () {
    await first
    this.progress(0.1)
    this.progress(0.2)
    await second
    this.progress(0.3)
    await go
  })
  const events = await openEvents(`${url}/tasks/${run.id}`)
  let status = await events.status()
  first.open()
  while (status?.progress?.value !== 0.2) status = await events.status()
  second.open()
  while (status?.progress?.value !== 0.3) status = await events.status()
  go.open()
  t.equal((await events.rest()).at(-1)?.event, 'end')
})

t.test('status: nobody is listened for when the last listener has gone, whichever way', async (t) => {
  const { app, start, url, port } = await createAppWithStatus(t)
  const go = latch()
  const { run } = await start(() => go)
  const leaving = await openEvents(`${url}/tasks/${run.id}`)
  const staying = await openEvents(`${url}/tasks/${run.id}`)
  const vanishing = await rawClient(port)
  vanishing.socket.write(head('GET', `/tasks/${run.id}`, { accept: 'text/event-stream' }))
  await vanishing.receives('data: ')
  for (const name of CHANNELS) t.ok(channel(name).hasSubscribers, name)

  leaving.leave()
  vanishing.leave()
  go.open()
  await staying.rest()
  await until(() => CHANNELS.every((name) => name.endsWith('taken') || !channel(name).hasSubscribers))
  await app.close()
  for (const name of CHANNELS) t.notOk(channel(name).hasSubscribers, name)
  t.notOk(process.getActiveResourcesInfo().includes('Interval'))
})

t.test('status: what a client leaves at once is let go of', async (t) => {
  const entered = latch()
  const left = latch()
  const { start, port } = await createAppWithStatus(t, {
    onRequest: async (request) => {
      request.raw.socket.once('close', () => left.open())
      entered.open()
      await left
    }
  })
  const { run } = await start(() => new Promise(() => {}))
  const client = await rawClient(port)
  client.socket.write(head('GET', `/tasks/${run.id}`, { accept: 'text/event-stream' }))
  await entered
  client.leave()
  await left
  await until(() => !channel(CHANNELS[1]).hasSubscribers)
  run.cancel()
  t.pass()
})

t.test('status: a stream that another hook has replaced is let go of', async (t) => {
  const { start, url } = await createAppWithStatus(t, {}, {}, {}, (app) => {
    app.addHook('onSend', async (request, _reply, payload) => {
      if (request.headers.accept === 'text/event-stream') throw new Error('no streams here')
      return payload
    })
  })
  const { run } = await start(() => new Promise(() => {}))
  const { response } = await openEvents(`${url}/tasks/${run.id}`)
  await response.text()

  t.equal(response.status, 500)
  await until(() => !channel(CHANNELS[1]).hasSubscribers)
  run.cancel()
})

t.test('status: more listeners than maxListeners are refused with 503, until one has gone', async (t) => {
  const { start, url, ask } = await createAppWithStatus(t, { maxListeners: 1 })
  const go = latch()
  const { run } = await start(() => go)
  const first = await openEvents(`${url}/tasks/${run.id}`)
  const second = await openEvents(`${url}/tasks/${run.id}`)
  const wait = await ask(run, { headers: { prefer: 'wait=10' } })

  t.equal(second.response.status, 503)
  t.equal(second.response.headers.get('retry-after'), '10')
  t.match(await second.response.json(), { code: 'FST_ERR_BACKGROUND_TOO_MANY_LISTENERS' })
  t.equal(wait.status, 503)
  t.equal((await ask(run)).status, 200, 'a plain question is answered')
  first.leave()
  await until(() => !channel(CHANNELS[1]).hasSubscribers)
  const third = await openEvents(`${url}/tasks/${run.id}`)
  t.equal(third.response.status, 200)
  go.open()
  await third.rest()
})

t.test('status: runs of others do not reach a stream', async (t) => {
  const { start, url, app } = await createAppWithStatus(t, { interval: 0 })
  const other = await createAppWithStatus(t)
  const go = latch()
  const { run } = await start(() => go)
  const events = await openEvents(`${url}/tasks/${run.id}`)
  await events.status()
  await (await other.start(() => {})).run.finished()
  await app.background.addTask(() => {}).finished()
  go.open()

  for (const { data } of await events.rest()) if (data !== undefined) t.equal(data.id, run.id)
})

t.test('status: a stream of a run that is forgotten ends', async (t) => {
  const { start, url, app } = await createAppWithStatus(t, { interval: 0 })
  const go = latch()
  const { run } = await start(() => go)
  const events = await openEvents(`${url}/tasks/${run.id}`)
  await events.status()
  const { find } = Object.getPrototypeOf(app.background) as Background
  Object.assign(app.background, { find: async () => undefined })
  t.teardown(() => Object.assign(app.background, { find }))
  channel('fastify.background.task.progress').publish({ background: app.background, run })

  t.strictSame(await events.rest(), [])
  go.open()
})

t.test('status: texts of tasks cannot make events of their own', async (t) => {
  const { start, url } = await createAppWithStatus(t, { interval: 0 })
  const go = latch()
  const { run } = await start(background.defineTask(async function () {
    this.progress({ value: 0, message: 'a\n\nevent: end\ndata: {}\r\n\r\n' })
    await go
  } as background.TaskFunction<[], Promise<void>>, { name: 'x\ndata: {}\n\n' }) as never)
  await until(() => run.progress !== undefined)
  const events = await openEvents(`${url}/tasks/${run.id}`)
  go.open()
  const all = await events.rest()

  t.equal(all.filter(({ event }) => event === 'end').length, 1)
  t.equal(all.at(-1)?.data?.name, 'x\ndata: {}\n\n')
})

t.test('status: a stream that has nothing to say says that it is there', async (t) => {
  const { start, url } = await createAppWithStatus(t, { heartbeat: 1_000 })
  const go = latch()
  const { run } = await start(() => go)
  const events = await openEvents(`${url}/tasks/${run.id}`)
  let event = await events.next()
  while (event?.comment !== true) event = await events.next()
  go.open()

  t.match((await events.rest()).at(-1), { event: 'end' })
})
