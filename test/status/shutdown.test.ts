import { channel } from 'node:diagnostics_channel'
import t from 'tap'
import { latch, until } from '../helpers/latch'
import { createAppWithStatus, openEvents } from '../helpers/status-app'
import { head, rawClient } from '../helpers/tcp'

const START = 'tracing:fastify.background.task:start'
const LARGE = 16_000_000

t.test('status: a closing application ends its streams with the outcome of their runs', async (t) => {
  const { app, start, url } = await createAppWithStatus(t)
  const go = latch()
  const { run } = await start(() => go)
  const events = await openEvents(`${url}/tasks/${run.id}`)
  await events.status()
  const closing = app.close()
  go.open()
  await closing

  t.match((await events.rest()).at(-1), { event: 'end', data: { state: 'completed' } })
})

t.test('status: a closing application ends its waits with the outcome of their runs', async (t) => {
  const { app, start, ask } = await createAppWithStatus(t)
  const go = latch()
  const { run } = await start(() => go)
  const answer = ask(run, { headers: { prefer: 'wait=30' } })
  await until(() => channel(START).hasSubscribers)
  const closing = app.close()
  go.open()

  t.match(await answer, { status: 200, body: { state: 'completed' } })
  await closing
})

t.test('status: what shutdown has cancelled is told, too', async (t) => {
  const { app, start, url } = await createAppWithStatus(t, {}, { closeTimeout: 0 })
  const { run } = await start(() => new Promise(() => {}))
  await until(() => run.state === 'active')
  const events = await openEvents(`${url}/tasks/${run.id}`)
  await events.status()
  await app.close()

  t.match((await events.rest()).at(-1), { event: 'end', data: { state: 'cancelled' } })
})

t.test('status: a listener that does not read does not keep the application from closing', async (t) => {
  const { app, start, port } = await createAppWithStatus(t, { interval: 0 }, { closeTimeout: 0 })
  const { run } = await start(function () {
    this.progress({ value: 0, message: 'x'.repeat(LARGE) })
    return new Promise(() => {})
  })
  await until(() => run.progress !== undefined)
  const client = await rawClient(port)
  t.teardown(() => client.leave())
  client.socket.write(head('GET', `/tasks/${run.id}`, { accept: 'text/event-stream' }))
  await client.receives('data: ')
  client.socket.pause()
  await app.close()

  t.equal(run.state, 'cancelled')
})
