import { channel } from 'node:diagnostics_channel'
import { connect, type Http2ServerRequest } from 'node:http2'
import t from 'tap'
import { latch, turn, until } from '../helpers/latch'
import { createAppWithStatus } from '../helpers/status-app'
import { head, rawClient } from '../helpers/tcp'

const START = 'tracing:fastify.background.task:start'
const KINDS: Array<Record<string, string>> = [{ accept: 'text/event-stream' }, { prefer: 'wait=3600' }]

for (const headers of KINDS) {
  const [kind] = Object.values(headers)

  t.test(`status: ${kind}, behind another on its connection, is let go of when the connection is lost`, async (t) => {
    let asked = 0
    const { start, port } = await createAppWithStatus(t, {
      heartbeat: 1_000,
      maxWait: 3_600,
      authorize () {
        asked++
        return true
      }
    })
    const { run } = await start(() => new Promise(() => {}))
    const client = await rawClient(port)
    client.socket.write(head('GET', `/tasks/${run.id}`, headers).repeat(3))
    await until(() => asked === 3 && channel(START).hasSubscribers)
    await turn()
    client.leave()

    await until(() => !channel(START).hasSubscribers)
    t.notOk(process.getActiveResourcesInfo().includes('Interval'))
    run.cancel()
  })

  t.test(`status: ${kind}, left before it began, is let go of`, async (t) => {
    const [entered, left] = [latch(), latch()]
    const { start, port } = await createAppWithStatus(t, {
      heartbeat: 1_000,
      maxWait: 3_600,
      async authorize (request) {
        request.raw.socket.once('close', () => left.open())
        entered.open()
        await left
        return true
      }
    })
    const { run } = await start(() => new Promise(() => {}))
    const client = await rawClient(port)
    client.socket.write(head('GET', `/tasks/${run.id}`, headers))
    await entered
    client.leave()
    await left
    await turn()
    await until(() => !channel(START).hasSubscribers)
    t.pass()
    run.cancel()
  })

  t.test(`status: ${kind}, a stream of HTTP/2 that was reset without an error, is let go of`, async (t) => {
    const [entered, reset] = [latch(), latch()]
    const { app, port } = await createAppWithStatus(t, {
      heartbeat: 1_000,
      maxWait: 3_600,
      async authorize ({ raw }) {
        entered.open()
        await until(() => (raw as unknown as Http2ServerRequest).stream.closed)
        reset.open()
        return true
      }
    }, {}, { http2: true } as never)
    const run = app.background.addTask(() => new Promise(() => {}))
    const session = connect(`http://127.0.0.1:${port}`)
    t.teardown(() => session.destroy())
    const request = session.request({ ':path': `/tasks/${run.id}`, ...headers })
    await entered
    request.close()
    await reset
    await turn()
    await until(() => !channel(START).hasSubscribers)
    t.pass()
    run.cancel()
  })
}
