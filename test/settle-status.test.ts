import t from 'tap'
import { Readable } from 'node:stream'
import { abandon } from './helpers/abandon'
import { createApp, listen } from './helpers/app'
import { counts } from './helpers/counts'

t.test('T4: a web Response brings its own status, to a client that stays and to one that has left', async (t) => {
  for (const [status, expected] of [[201, ['route', 'reply']], [500, ['reply']]] as const) {
    const app = await createApp(t)
    const ran: string[] = []
    app.get('/', { background: () => { ran.push('route') } }, async (_, reply) => {
      reply.background.addTask(() => { ran.push('reply') })
      return new Response('web', { status })
    })
    const { url } = await listen(app)
    t.equal((await fetch(url)).status, status)
    await app.background.idle()
    t.strictSame(ran, expected)

    const abandoned = await abandon(t, {}, () => new Response('web', { status }))
    await abandoned.app.background.idle()
    t.strictSame(abandoned.ran, expected)
  }
})

t.test('T4: a web Response that an onSend hook puts in place of the payload decides', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  app.addHook('onSend', async () => new Response('no', { status: 403 }))
  app.get('/', { background: () => { ran.push('route') } }, async () => 'ok')
  const { url } = await listen(app)

  t.equal((await fetch(url)).status, 403)
  await app.background.idle()

  t.strictSame(ran, [])
})

t.test('T4: a web Response whose body is used up is an error: the last of two passes through onSend counts', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  const response = new Response('once')
  await response.text()
  app.get('/', { background: () => { ran.push('route') } }, async (_, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    return response
  })
  const { url } = await listen(app)

  t.equal((await fetch(url)).status, 500)
  await app.background.idle()

  t.strictSame(ran, ['reply'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 1, discarded: 1 }))
})

t.test('T4: a stream that fails before its first byte is an error: the last of two passes through onSend counts', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  const statuses: number[] = []
  app.addHook('onSend', async (_request, reply) => { statuses.push(reply.statusCode) })
  app.get('/', { background: () => { ran.push('route') } }, async (_, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    return reply.send(new Readable({ read () { this.destroy(new Error('x')) } }))
  })
  const { url } = await listen(app)

  t.equal((await fetch(url)).status, 500)
  await app.background.idle()

  t.strictSame(statuses, [200, 500])
  t.strictSame(ran, ['reply'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 1, discarded: 1 }))
})

t.test('T4: a reply that fails after onSend and again in onSend has the status that Fastify then sends', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  app.addHook('onSend', async (_request, reply) => { if (reply.statusCode === 500) throw new Error('y') })
  app.get('/', { background: () => { ran.push('route') } }, async (_, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    return reply.send(new Readable({ read () { this.destroy(new Error('x')) } }))
  })
  const { url } = await listen(app)

  t.equal((await fetch(url)).status, 500)
  await app.background.idle()

  t.strictSame(ran, ['reply'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 1, discarded: 1 }))
})
