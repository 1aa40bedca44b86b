import t from 'tap'
import { Readable } from 'node:stream'
import Fastify, { type FastifyReply, type FastifyRequest } from 'fastify'
import background from '../lib/index'
import { abandon } from './helpers/abandon'
import { createApp, listen } from './helpers/app'
import { counts } from './helpers/counts'
import { latch } from './helpers/latch'
import { closed, manyTurns } from './helpers/reply'
import { head, rawClient } from './helpers/tcp'

const never = new Promise(() => {})

t.test('T2: a reply without an outcome settles after settleTimeout, as an error', async (t) => {
  const { app, ran } = await abandon(t, { settleTimeout: 20 }, () => never)
  await app.background.idle()

  t.strictSame(ran, ['reply'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 1, discarded: 1 }))
})

for (const [when, expected] of [['always', ['route', 'reply']], ['error', ['route', 'reply']], ['success', []]] as const) {
  t.test(`T4: of a reply without an outcome, tasks with when: ${when} ${expected.length > 0 ? 'run' : 'are discarded'}`, async (t) => {
    const { app, ran } = await abandon(t, { settleTimeout: 20, when }, () => never)
    await app.background.idle()

    t.strictSame(ran, expected)
    t.equal(app.background.stats().accepted, 2)
  })
}

t.test('T2: settleTimeout: 0 is as soon as the client has left', async (t) => {
  const { app, ran } = await abandon(t, { settleTimeout: 0 }, () => never)
  await app.background.idle()

  t.strictSame(ran, ['reply'])
})

t.test('T2: a handler that gives up after the client has left leads to its tasks after settleTimeout', async (t) => {
  const { app, ran } = await abandon(t, { settleTimeout: 20 }, () => undefined)
  await app.background.idle()

  t.strictSame(ran, ['reply'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 1, discarded: 1 }))
})

t.test('T2: onSend hooks that always throw after the client has left lead to the tasks after settleTimeout', async (t) => {
  const { app, ran } = await abandon(t, { settleTimeout: 20 }, () => 'too late',
    (app) => { app.addHook('onSend', async () => { throw new Error('x') }) })
  await app.background.idle()

  t.strictSame(ran, ['reply'])
})

t.test('T2: a reply that is hijacked after the client has left leads to its tasks, after settleTimeout at the latest', async (t) => {
  const { app, ran } = await abandon(t, { settleTimeout: 20, when: 'always' }, (reply) => { reply.hijack() })
  await app.background.idle()

  t.strictSame(ran, ['route', 'reply'])
})

t.test('T2: with a client that stays, settleTimeout does not count', async (t) => {
  const app = await createApp(t, { settleTimeout: 0 })
  const entered = latch()
  const release = latch()
  const ran: string[] = []
  app.get('/', { background: () => { ran.push('route') } }, async (_, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    entered.open()
    await release
    return 'ok'
  })
  const { url } = await listen(app)

  const response = fetch(url)
  await entered
  await manyTurns()
  t.strictSame(app.background.stats(), counts({ accepted: 2, queued: 2 }))
  release.open()
  await response
  await app.background.idle()

  t.strictSame(ran, ['route', 'reply'])
})

t.test('T2: a reply that has settled by settleTimeout does so once: an answer after that starts nothing again', async (t) => {
  const answered = latch()
  const { app, ran, run, release } = await abandon(t, { settleTimeout: 0 }, async (_, released) => {
    await released
    return 'too late'
  }, (app) => { app.addHook('onSend', async () => { answered.open() }) })
  await run.finished()
  release()
  await answered
  await manyTurns()

  t.strictSame(ran, ['reply'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 1, discarded: 1 }))
})

t.test('T3: a task added after settleTimeout has settled the reply runs', async (t) => {
  const late = latch<background.TaskRun>()
  const { ran, run, release } = await abandon(t, { settleTimeout: 0 }, async (reply, released) => {
    await released
    late.open(reply.background.addTask(() => { ran.push('late') }))
    return 'too late'
  })
  await run.finished()
  release()
  await (await late).finished()

  t.strictSame(ran, ['reply', 'late'])
})

t.test('T4: a task added after settleTimeout has settled the reply finds an error, whatever the handler then answers', async (t) => {
  const answered = latch()
  let reply: FastifyReply | undefined
  const { run, release } = await abandon(t, { settleTimeout: 0, when: 'error' }, async (own, released) => {
    reply = own
    await released
    return own.code(200).send('too late')
  }, (app) => { app.addHook('onSend', async () => { answered.open() }) })
  await run.finished()
  release()
  await answered
  await manyTurns()
  const late = reply!.background.addTask(() => {})
  await late.finished()

  t.equal(late.state, 'completed')
})

t.test('T4: after the client has left, nothing starts before the outcome is known', async (t) => {
  const { app, ran, release } = await abandon(t, {}, async (reply, released) => {
    await released
    return reply.code(201).send('too late')
  })
  await manyTurns()
  t.strictSame(app.background.stats(), counts({ accepted: 2, queued: 2 }))
  release()
  await app.background.idle()

  t.strictSame(ran, ['route', 'reply'])
})

t.test('T4: an error that becomes known after the client has left is an error', async (t) => {
  const { app, ran, release } = await abandon(t, {}, async (reply, released) => {
    await released
    return reply.code(500).send('too late')
  })
  release()
  await app.background.idle()

  t.strictSame(ran, ['reply'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 1, discarded: 1 }))
})

t.test('T4: the outcome is known at the end of the onSend hooks, not at their start', async (t) => {
  const sending = latch()
  const decide = latch()
  const { app, ran } = await abandon(t, {}, () => 'too late', (app) => {
    app.addHook('onSend', async (_request, reply) => {
      sending.open()
      await decide
      reply.code(500)
    })
  })
  await sending
  await manyTurns()
  t.strictSame(app.background.stats(), counts({ accepted: 2, queued: 2 }))
  decide.open()
  await app.background.idle()

  t.strictSame(ran, ['reply'])
})

t.test("T4: the outcome is known at the end of the route's own onSend hooks, too", async (t) => {
  const { app, ran } = await abandon(t, {}, () => 'too late', () => ({
    onSend: async (_request, reply) => { reply.code(500) }
  }))
  await app.background.idle()

  t.strictSame(ran, ['reply'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 1, discarded: 1 }))
})

t.test('T4: a first task that an onSend hook adds after the client has left waits for the end of the hooks, too', async (t) => {
  const app = await createApp(t, { when: 'success' })
  const entered = latch()
  const added = latch()
  const decide = latch()
  const ran: string[] = []
  app.addHook('onSend', async (_request, reply) => {
    reply.background.addTask(() => { ran.push('onSend') })
    added.open()
    await decide
    reply.code(500)
  })
  app.get('/', async (_, reply) => {
    const left = closed(reply)
    entered.open()
    await left
    return 'too late'
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(head('GET', '/'))
  await entered
  client.leave()
  await added
  await manyTurns()
  t.strictSame(app.background.stats(), counts({ accepted: 1, queued: 1 }))
  decide.open()
  await app.background.idle()

  t.strictSame(ran, [])
})

for (const [where, path] of [['on a route', '/'], ['on a route older than the plugin', '/older'], ['in a 404 handler', '/nothing']] as const) {
  t.test(`T4: an outcome that became known before there was a task is remembered, ${where}`, async (t) => {
    const app = Fastify()
    t.teardown(() => app.close())
    const entered = latch()
    const added = latch()
    const ran: string[] = []
    // A stream to a client that has left goes through onSend, but no headers are ever sent.
    function answerLate (request: FastifyRequest, reply: FastifyReply): void {
      closed(reply).then(async () => {
        reply.code(500).send(Readable.from(['too late']))
        await manyTurns()
        t.equal(reply.raw.headersSent, false)
        reply.background.addTask(() => { ran.push(request.url) })
        added.open()
      })
      entered.open()
    }
    if (path === '/older') app.get(path, answerLate)
    await app.register(background, { when: 'error' })
    app.get('/', answerLate)
    app.setNotFoundHandler(answerLate)
    const { port } = await listen(app)

    const client = await rawClient(port)
    client.socket.write(head('GET', path))
    await entered
    client.leave()
    await added
    await app.background.idle()

    t.strictSame(ran, [path])
  })
}

t.test('T4: a reply that fails behind onSend is open again: a task that its error handler adds waits for the new status', async (t) => {
  const added = latch()
  const decide = latch()
  const ran: string[] = []
  const app = await createApp(t, { when: 'success' })
  const entered = latch()
  app.setErrorHandler(async (_error, _request, reply) => {
    reply.background.addTask(() => { ran.push('error handler') })
    added.open()
    await decide
    return reply.code(500).send('sorry')
  })
  app.get('/', async (_, reply) => {
    const left = closed(reply)
    entered.open()
    await left
    const response = new Response('once')
    await response.text()
    return response
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(head('GET', '/'))
  await entered
  client.leave()
  await added
  await manyTurns()
  t.strictSame(app.background.stats(), counts({ accepted: 1, queued: 1 }))
  decide.open()
  await app.background.idle()

  t.strictSame(ran, [])
  t.strictSame(app.background.stats(), counts({ accepted: 1, discarded: 1 }))
})

t.test('T4: an outcome that is known before the client leaves needs no other', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  app.get('/', { background: () => { ran.push('route') } }, async (_, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    reply.raw.writeHead(200)
    reply.raw.write('first')
    await never
  })
  const { port } = await listen(app)

  const client = await rawClient(port)
  client.socket.write(head('GET', '/'))
  await client.receives('first')
  client.leave()
  await app.background.idle()

  t.strictSame(ran, ['route', 'reply'], 'though the handler is still at work')
})
