import { connect } from 'node:http2'
import compress from '@fastify/compress'
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
