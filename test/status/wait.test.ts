import { channel } from 'node:diagnostics_channel'
import t from 'tap'
import { latch, until } from '../helpers/latch'
import { createAppWithStatus } from '../helpers/status-app'
import { head, rawClient } from '../helpers/tcp'

const START = 'tracing:fastify.background.task:start'

t.test('status: Prefer: wait waits for the end, and says so', async (t) => {
  const { start, ask } = await createAppWithStatus(t)
  const go = latch()
  const { run } = await start(() => go)
  const answer = ask(run, { headers: { prefer: 'wait=20' } })
  await until(() => channel(START).hasSubscribers)
  go.open()
  const { status, headers, body } = await answer

  t.equal(status, 200)
  t.equal(headers.get('preference-applied'), 'wait=20')
  t.equal(body.state, 'completed')
  t.notOk(channel(START).hasSubscribers)
})

t.test('status: a wait ends after its time with the status as it is', async (t) => {
  const { start, ask } = await createAppWithStatus(t, { maxWait: 1 })
  const { run } = await start(function () {
    this.progress(0.5)
    return new Promise(() => {})
  })
  const { headers, body } = await ask(run, { headers: { prefer: 'wait=3600' } })

  t.equal(headers.get('preference-applied'), 'wait=1', 'no longer than maxWait')
  t.equal(headers.get('retry-after'), '1')
  t.match(body, { state: 'active', progress: { value: 0.5 } })
  run.cancel()
})

t.test('status: nothing is waited for where the run is over, or for 0 seconds', async (t) => {
  const { start, ask } = await createAppWithStatus(t)
  const { run } = await start(() => ({ location: '/there' }))
  await run.finished()
  const over = await ask(run, { headers: { prefer: 'wait=20' } })
  t.equal(over.status, 303)
  t.equal(over.headers.get('preference-applied'), 'wait=20')

  const other = await start(() => new Promise(() => {}))
  const none = await ask(other.run, { headers: { prefer: 'wait=0' } })
  t.equal(none.headers.get('preference-applied'), 'wait=0')
  t.notOk(none.body.state === 'completed')
  other.run.cancel()
})

t.test('status: a wait whose client has left is let go of', async (t) => {
  const { start, port } = await createAppWithStatus(t)
  const { run } = await start(() => new Promise(() => {}))
  const client = await rawClient(port)
  client.socket.write(head('GET', `/tasks/${run.id}`, { prefer: 'wait=30' }))
  await until(() => channel(START).hasSubscribers)
  client.leave()
  await until(() => !channel(START).hasSubscribers)
  run.cancel()
  t.notOk(channel(START).hasSubscribers)
})
