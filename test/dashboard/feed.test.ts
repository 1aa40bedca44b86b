import { EventEmitter, once } from 'node:events'
import { connect, type ClientHttp2Stream } from 'node:http2'
import type { FastifyReply } from 'fastify'
import t from 'tap'
import { Feed } from '../../lib/dashboard/feed'
import type { Frame } from '../../lib/dashboard/frame'
import { listen } from '../helpers/app'
import { createDashboard, openFeed } from '../helpers/dashboard'
import { latch, turn, until } from '../helpers/latch'
import { head, rawClient } from '../helpers/tcp'

// A frame comes once a second.
t.setTimeout(60_000)

const FRAME = {} as Frame

/** A response that takes what it is told to take. */
class Response extends EventEmitter {
  destroyed = false
  takes = true
  readonly written: string[] = []
  readonly req = { socket: { destroyed: false } }
  ended = false

  write (text: string): boolean {
    this.written.push(/event: (\w+)/.exec(text)![1])
    return this.takes
  }

  end (): void {
    this.ended = true
  }

  destroy (): void {
    this.destroyed = true
    this.emit('close')
  }

  get reply (): FastifyReply {
    return { raw: this, request: { raw: this.req } } as unknown as FastifyReply
  }
}

interface Teardown { teardown: (fn: () => unknown) => void }

/** A feed whose seconds go by at a call. */
function createFeed (t: Teardown): { feed: Feed, tick: () => void, asked: boolean[], timers: () => number } {
  const asked: boolean[] = []
  const { setInterval, clearInterval } = globalThis
  const ticks = new Set<() => void>()
  globalThis.setInterval = ((tick: () => void) => {
    ticks.add(tick)
    return tick
  }) as never
  globalThis.clearInterval = ((tick: () => void) => { ticks.delete(tick) }) as never
  t.teardown(() => Object.assign(globalThis, { setInterval, clearInterval }))
  const feed = new Feed({
    frame (all) {
      asked.push(all)
      return FRAME
    }
  })
  return { feed, asked, tick: () => { for (const each of [...ticks]) each() }, timers: () => ticks.size }
}

t.test('a page gets a whole frame at once, and then what is new, second by second', async (t) => {
  const app = await createDashboard(t)
  const feed = await openFeed(t, app)
  t.match(Object.fromEntries(feed.response.headers), {
    'content-type': 'text/event-stream', 'cache-control': 'no-store, no-transform', 'x-accel-buffering': 'no'
  })
  t.equal((await feed.next()).event, 'all')
  await app.background.addTask(() => {}).finished()
  const { event, frame } = await feed.next()
  t.equal(event, 'recent')
  t.match(frame, { stats: app.background.stats(), lists: { running: { runs: [], more: false } } })
})

t.test('headers that hooks have set are sent with the feed, and ours win', async (t) => {
  const app = await createDashboard(t, {
    dashboard: {
      onRequest: async (_request, reply) => { reply.headers({ 'set-cookie': 'session=1', 'content-security-policy': 'none' }) }
    }
  })
  const { response } = await openFeed(t, app)
  t.equal(response.headers.get('set-cookie'), 'session=1')
  t.match(response.headers.get('content-security-policy'), "default-src 'none'")
})

t.test('a frame is made once for all, and none while nobody listens', async (t) => {
  const { feed, tick, asked, timers } = createFeed(t)
  tick()
  t.strictSame([asked, timers()], [[], 0])
  const pages = [new Response(), new Response(), new Response()]
  for (const page of pages) feed.add(page.reply)
  t.strictSame([asked, timers()], [[true, true, true], 1])
  tick()
  t.strictSame(asked.slice(3), [false])
  for (const page of pages) t.strictSame(page.written, ['all', 'recent'])
  for (const page of pages) page.destroy()
  t.strictSame([feed.size, timers()], [0, 0])
})

t.test('a page that does not take its frames skips them, and its next one is whole', async (t) => {
  const { feed, tick, asked } = createFeed(t)
  const [slow, quick] = [new Response(), new Response()]
  slow.takes = false
  feed.add(slow.reply)
  feed.add(quick.reply)
  tick()
  tick()
  t.strictSame(slow.written, ['all'], 'nothing is put behind what it has not taken')
  t.strictSame(quick.written, ['all', 'recent', 'recent'])
  slow.takes = true
  slow.emit('drain')
  asked.length = 0
  tick()
  t.strictSame(slow.written, ['all', 'all'])
  t.strictSame(asked, [true, false], 'one of each is made')
  tick()
  t.strictSame(slow.written, ['all', 'all', 'recent'])
})

t.test('a page that has taken nothing for a minute is cut off', async (t) => {
  const { feed, tick, timers } = createFeed(t)
  const gone = new Response()
  gone.takes = false
  feed.add(gone.reply)
  for (let second = 1; second < 60; second++) tick()
  t.notOk(gone.destroyed)
  tick()
  t.ok(gone.destroyed)
  t.strictSame([feed.size, timers(), gone.written.length], [0, 0, 1])
})

t.test('one that takes frames now and then is not', async (t) => {
  const { feed, tick } = createFeed(t)
  const slow = new Response()
  slow.takes = false
  feed.add(slow.reply)
  for (let second = 0; second < 200; second++) {
    tick()
    if (second % 50 === 0) slow.emit('drain')
  }
  t.notOk(slow.destroyed)
})

t.test('after a quarter of an hour a page has to ask again, so that its hooks are asked as well', async (t) => {
  const { feed, tick } = createFeed(t)
  const page = new Response()
  feed.add(page.reply)
  for (let second = 1; second < 900; second++) tick()
  t.strictSame([page.ended, page.written.length], [false, 900])
  tick()
  t.strictSame([page.ended, page.written.length], [true, 900])
})

t.test('an error of its connection harms nobody', async (t) => {
  const { feed, tick } = createFeed(t)
  const [broken, whole] = [new Response(), new Response()]
  feed.add(broken.reply)
  feed.add(whole.reply)
  broken.emit('error', new Error('reset'))
  broken.destroy()
  tick()
  t.equal(feed.size, 1)
  t.strictSame(whole.written, ['all', 'recent'])
})

t.test('one that has left before it was taken leaves nothing', async (t) => {
  const { feed, timers } = createFeed(t)
  const gone = new Response()
  gone.destroyed = true
  feed.add(gone.reply)
  t.strictSame([feed.size, timers(), gone.written.length], [0, 0, 0])
})

t.test('one whose connection ended before its turn came leaves nothing', async (t) => {
  const { feed, tick, timers } = createFeed(t)
  const [gone, here] = [new Response(), new Response()]
  feed.add(gone.reply)
  feed.add(here.reply)
  gone.req.socket.destroyed = true
  tick()
  t.strictSame([feed.size, gone.written, here.written], [1, ['all'], ['all', 'recent']])
  here.req.socket.destroyed = true
  tick()
  t.strictSame([feed.size, timers()], [0, 0])
})

t.test('pipelined behind a request that is never answered, pages that leave make room for others', async (t) => {
  const app = await createDashboard(t, {
    before: (app) => app.get('/never', async (_request, reply) => { await new Promise((resolve) => reply.raw.once('close', resolve)) })
  })
  const { port } = await listen(app)
  const clients = await Promise.all(Array.from({ length: 100 }, async () => await rawClient(port)))
  for (const client of clients) client.socket.write(head('GET', '/never') + head('GET', '/background/feed'))
  const status = async (): Promise<number> => {
    const response = await fetch(`${app.listeningOrigin}/background/feed`)
    await response.body!.cancel()
    return response.status
  }
  while (await status() === 200) await turn()
  for (const client of clients) client.leave()
  while (await status() !== 200) await turn()
  t.pass('there is room again')
})

t.test('at its close all end, and those that take nothing are cut off', async (t) => {
  const { feed, timers } = createFeed(t)
  const [slow, quick] = [new Response(), new Response()]
  slow.takes = false
  feed.add(slow.reply)
  feed.add(quick.reply)
  feed.close()
  t.strictSame([slow.destroyed, slow.ended, quick.destroyed, quick.ended, feed.isClosed], [true, false, false, true, true])
  t.strictSame([feed.size, timers()], [0, 0], 'whether they are told of it or not')
})

t.test('clients that vanish leave nothing: no listener, no connection', async (t) => {
  const app = await createDashboard(t)
  const { port } = await listen(app)
  const connections = async (): Promise<number> => await new Promise((resolve) => app.server.getConnections((_error, count) => resolve(count)))
  for (let i = 0; i < 5; i++) {
    const client = await rawClient(port)
    client.socket.write(head('GET', '/background/feed'))
    await client.receives('event: all')
    client.leave()
  }
  while (await connections() > 0) await turn()
  t.equal(await connections(), 0)
  t.equal((await (await openFeed(t, app)).next()).event, 'all', 'others are served')
})

t.test('not more than 100 pages are served', async (t) => {
  const app = await createDashboard(t)
  const { port } = await listen(app)
  const clients = await Promise.all(Array.from({ length: 100 }, async () => {
    const client = await rawClient(port)
    client.socket.write(head('GET', '/background/feed'))
    await client.receives('event: all')
    return client
  }))
  t.equal((await app.inject('/background/feed')).statusCode, 503)
  clients[0].leave()
  for (;;) {
    const client = await rawClient(port)
    client.socket.write(head('GET', '/background/feed'))
    await once(client.socket, 'data')
    const isServed = client.received().startsWith('HTTP/1.1 200')
    client.leave()
    if (isServed) break
  }
  for (const client of clients) client.leave()
})

t.test('an open page does not hold up app.close(), and goes on until the last task is done', async (t) => {
  const app = await createDashboard(t)
  const feed = await openFeed(t, app)
  await feed.next()
  const goOn = latch()
  const started = latch()
  app.background.addTask(async function last () {
    started.open()
    await goOn
  })
  await started
  const closed = app.close()
  const { lists } = await feed.until(({ lists }) => lists.running.runs.length > 0)
  t.match(lists.running.runs, [{ name: 'last' }])
  goOn.open()
  await closed
  await t.rejects(async () => { for (;;) await feed.next() }, /ended/)
})

t.test('a page that takes nothing does not hold up app.close() either', async (t) => {
  const app = await createDashboard(t)
  const { port } = await listen(app)
  const client = await rawClient(port)
  client.socket.write(head('GET', '/background/feed'))
  await client.receives('event: all')
  client.socket.pause()
  await app.close()
  t.pass('it has closed')
})

t.test('when the application closes, no new page is taken', async (t) => {
  let status = 0
  const app = await createDashboard(t, { server: { return503OnClosing: false } })
  app.addHook('preClose', async () => { status = (await fetch(`${url}/background/feed`)).status })
  const { url } = await listen(app)
  await app.close()
  t.equal(status, 204)
})

t.test('over HTTP/2 it is the same', async (t) => {
  const app = await createDashboard(t, { server: { http2: true } as object })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const session = connect(app.listeningOrigin)
  t.teardown(() => session.destroy())
  const stream = session.request({ ':path': '/background/feed' })
  const [headers] = await once(stream, 'response')
  t.match(headers, { ':status': 200, 'content-type': 'text/event-stream' })
  let text = ''
  stream.setEncoding('utf8').on('data', (chunk: string) => { text += chunk })
  await until(() => text.includes('\n\n'))
  t.match(text, /^event: all\n/)
  // The server waits for the session as a whole.
  stream.once('end', () => session.close())
  await app.close()
  t.ok(stream.readableEnded)
})

t.test('over HTTP/2, pages that leave on a connection that stays make room for others', async (t) => {
  const app = await createDashboard(t, { server: { http2: true } as object })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const session = connect(app.listeningOrigin)
  t.teardown(() => session.destroy())
  const open = async (): Promise<{ stream: ClientHttp2Stream, status: number }> => {
    const stream = session.request({ ':path': '/background/feed' })
    const [headers] = await once(stream, 'response')
    return { stream, status: headers[':status'] }
  }
  const pages = await Promise.all(Array.from({ length: 100 }, open))
  const refused = await open()
  t.equal(refused.status, 503)
  for (const { stream } of pages) stream.close()
  for (;;) {
    const { stream, status } = await open()
    stream.close()
    if (status === 200) break
  }
})
