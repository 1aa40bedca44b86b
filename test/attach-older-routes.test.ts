import t from 'tap'
import Fastify from 'fastify'
import background from '../lib/index'
import { createApp, listen, memoryLogger } from './helpers/app'
import { counts } from './helpers/counts'
import { latch } from './helpers/latch'
import { closed } from './helpers/reply'
import { head, rawClient } from './helpers/tcp'

const { BackgroundTask } = background

t.test('A2: config.background of a route declared before the plugin is read at request time', async (t) => {
  const { logger, lines } = memoryLogger('warn')
  const app = Fastify({ logger })
  t.teardown(() => app.close())
  const ran: string[] = []
  const note = (name: string): void => { ran.push(name) }
  app.get('/', {
    background: new BackgroundTask(note, 'not seen'),
    config: { background: new BackgroundTask(note, 'config') }
  }, async (_, reply) => {
    reply.background.addTask(note, 'reply')
    return 'ok'
  })
  app.get('/bare', { config: { background: new BackgroundTask(note, 'bare') } }, async () => 'ok')
  app.get('/fails', { config: { background: new BackgroundTask(note, 'fails') } }, async () => { throw new Error('x') })
  await app.register(background)
  const { url } = await listen(app)

  await fetch(url)
  await app.background.idle()
  await fetch(`${url}/bare`)
  await app.background.idle()
  await fetch(`${url}/fails`)
  await app.background.idle()

  t.strictSame(ran, ['config', 'reply', 'bare'])
  t.strictSame(app.background.stats(), counts({ accepted: 4, completed: 3, discarded: 1 }))
  t.match(lines[0], { level: 40, msg: /after routes had been declared/ })
})

t.test('A2: config.background of a route declared before the plugin is accepted before the handler is called', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  let accepted: number | undefined
  app.get('/', { config: { background: () => {} } }, async () => {
    accepted = app.background.stats().accepted
    return 'ok'
  })
  await app.register(background)
  const { url } = await listen(app)

  await fetch(url)
  await app.background.idle()

  t.equal(accepted, 1)
})

t.test('A2: no warning where no route is older than the plugin', async (t) => {
  const { logger, lines } = memoryLogger('warn')
  const app = await createApp(t, {}, { logger })
  app.get('/', async () => 'ok')
  await app.ready()

  t.strictSame(lines, [])
})

t.test('A2: on a route older than the plugin, a reply from an earlier hook still leads to config.background', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  const ran: string[] = []
  app.addHook('onRequest', async (_, reply) => reply.send('from the hook'))
  app.get('/', { config: { background: () => { ran.push('config') } } }, async () => 'never')
  await app.register(background)
  const { url } = await listen(app)

  t.equal(await (await fetch(url)).text(), 'from the hook')
  await app.background.idle()

  t.strictSame(ran, ['config'])
})

t.test('A2: in an older child, a reply takes tasks, and config.background is read', async (t) => {
  const { logger, lines } = memoryLogger('warn')
  const app = Fastify({ logger })
  t.teardown(() => app.close())
  const ran: string[] = []
  app.register(async (child) => {
    child.decorateReply('own', null)
    child.get('/added', async (_, reply) => {
      reply.background.addTask(() => { ran.push('added') })
      return 'ok'
    })
    child.get('/declared', { config: { background: () => { ran.push('declared') } } }, async () => 'ok')
  })
  await app.register(background)
  t.match(lines, [{ msg: /after routes had been declared/ }])
  const { url } = await listen(app)

  await fetch(`${url}/added`)
  await app.background.idle()
  t.strictSame(ran, ['added'])

  await fetch(`${url}/declared`)
  await app.background.idle()
  t.strictSame(ran, ['added', 'declared'])
})

t.test('T2: on a route older than the plugin, tasks run when the client leaves before the reply', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  const entered = latch()
  const ran: string[] = []
  app.get('/', { config: { background: () => { ran.push('config') } } }, async (_, reply) => {
    const left = closed(reply)
    reply.background.addTask(() => { ran.push('reply') })
    entered.open()
    await left
    return 'too late'
  })
  await app.register(background)
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(head('GET', '/'))
  await entered
  client.leave()
  await app.background.idle()

  t.strictSame(ran, ['config', 'reply'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 2 }))
})

t.test('T4: on a route older than the plugin, too, the status that was sent decides', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  const ran: string[] = []
  app.get('/own-hook', {
    onSend: async (_request, reply) => { reply.code(500) },
    config: { background: () => { ran.push('own hook') } }
  }, async () => 'x')
  app.get('/later-hook', { config: { background: () => { ran.push('later hook') } } }, async () => 'x')
  await app.register(background)
  app.addHook('onSend', async (request, reply) => { if (request.url === '/later-hook') reply.code(500) })
  const { url } = await listen(app)

  t.equal((await fetch(`${url}/own-hook`)).status, 500)
  await app.background.idle()
  t.equal((await fetch(`${url}/later-hook`)).status, 500)
  await app.background.idle()

  t.strictSame(ran, [])
  t.strictSame(app.background.stats(), counts({ accepted: 2, discarded: 2 }))
})
