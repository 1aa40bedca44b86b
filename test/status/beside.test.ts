import { connect } from 'node:http2'
import compress from '@fastify/compress'
import type { FastifyError } from 'fastify'
import t from 'tap'
import { latch, until } from '../helpers/latch'
import { createAppWithStatus, openEvents } from '../helpers/status-app'
import { channel } from 'node:diagnostics_channel'

const START = 'tracing:fastify.background.task:start'

t.test('status: @fastify/compress leaves the events alone', async (t) => {
  const { start, url } = await createAppWithStatus(t, {}, {}, {}, (app) => app.register(compress, { threshold: 0 }))
  const go = latch()
  const { run } = await start(() => go)
  const events = await openEvents(`${url}/tasks/${run.id}`, { 'accept-encoding': 'gzip' })
  t.equal(events.response.headers.get('content-encoding'), null)
  t.match(await events.status(), { id: run.id })
  go.open()

  t.match((await events.rest()).at(-1), { event: 'end' })
})

t.test('status: a stream over HTTP/2 ends with the outcome, and one that is reset is let go of', async (t) => {
  const { app, port } = await createAppWithStatus(t, {}, {}, { http2: true } as never)
  const session = connect(`http://127.0.0.1:${port}`)
  t.teardown(() => session.close())
  const go = latch()
  const { id } = app.background.addTask(() => go)
  const open = (): ReturnType<typeof session.request> => session.request({ ':path': `/tasks/${id}`, accept: 'text/event-stream' }).setEncoding('utf8')
  const leaving = open()
  await new Promise((resolve) => leaving.once('data', resolve))
  leaving.close()
  await until(() => !channel(START).hasSubscribers)

  const staying = open()
  let text = ''
  staying.on('data', (chunk: string) => {
    text += chunk
    go.open()
  })
  await new Promise((resolve) => staying.once('end', resolve))
  t.match(text, /event: end\ndata: .*"completed"/)
})

t.test('status: headers that other hooks have set for caches stay', async (t) => {
  const { start, ask } = await createAppWithStatus(t, {}, {}, {}, (app) => {
    app.addHook('onRequest', async (_request, reply) => { reply.header('vary', 'Origin') })
  })
  const { run } = await start(() => {})

  t.equal((await ask(run)).headers.get('vary'), 'Origin')
})

t.test('status: an application whose compilers take other schemas than JSON schemas', async (t) => {
  const other = (): never => { throw new Error('not one of my schemas') }
  const { start, ask } = await createAppWithStatus(t, {}, {}, {}, (app) => {
    app.setValidatorCompiler(other)
    app.setSerializerCompiler(other)
  })
  const { run } = await start(() => new Promise(() => {}))

  t.match(await ask(run), { status: 200, body: { id: run.id } })
  t.match(await ask(run, { method: 'DELETE' }), { status: 200, body: { state: 'cancelled' } })
})

t.test('status: what the application makes of errors and of replies is sent as it is', async (t) => {
  const { start, ask } = await createAppWithStatus(t, {}, {}, {}, (app) => {
    app.setErrorHandler<FastifyError>((error, _request, reply) => reply.code(error.statusCode!).send({ reason: error.code }))
    app.addHook('preSerialization', async (_request, _reply, payload) => ({ wrapped: payload }))
  })
  const { run } = await start(() => {})

  t.match(await ask(run), { status: 200, body: { wrapped: { id: run.id } } })
  t.strictSame((await ask({ id: 'x' })).body, { wrapped: { reason: 'FST_ERR_BACKGROUND_RUN_NOT_FOUND' } })
})

t.test('status: handlerTimeout ends neither waits nor streams', async (t) => {
  const { start, ask, url } = await createAppWithStatus(t, {}, {}, { handlerTimeout: 50 }, (app) => {
    app.get('/slow', () => new Promise(() => {}))
  })
  const go = latch()
  const { run } = await start(() => go)
  const wait = ask(run, { headers: { prefer: 'wait=30' } })
  const events = await openEvents(`${url}/tasks/${run.id}`)
  await until(() => channel(START).hasSubscribers)
  // It began later, so its time is over later.
  t.equal((await fetch(`${url}/slow`)).status, 503)
  go.open()

  t.match(await wait, { status: 200, body: { state: 'completed' } })
  t.match((await events.rest()).at(-1), { event: 'end' })
})
