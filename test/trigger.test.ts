import t from 'tap'
import { createApp, listen } from './helpers/app'
import { latch } from './helpers/latch'
import { head, rawClient } from './helpers/tcp'

t.test('T2: a task runs when the client leaves before the reply', async (t) => {
  const app = await createApp(t)
  const entered = latch()
  const left = latch()
  const ran: string[] = []
  app.get('/', async (request, reply) => {
    reply.raw.on('close', () => left.open())
    reply.background.addTask((name: string) => { ran.push(name) }, 'before')
    entered.open()
    await left
    reply.background.addTask((name: string) => { ran.push(name) }, 'after')
    return 'too late'
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(head('GET', '/'))
  await entered
  client.leave()
  await left
  await app.background.idle()

  t.strictSame(ran, ['before', 'after'])
})
