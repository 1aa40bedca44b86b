import { Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import t from 'tap'
import type background from '../lib/index'
import { ask, beginClose, connectTo, withDatabases } from './helpers/closing'
import { latch, until } from './helpers/latch'
import { manyTurns } from './helpers/reply'

// A wait that a test would not outlive.
const HOUR = 3_600_000

for (const [kind, open] of [['an event stream', eventStream], ['a hijacked event stream', hijackedEventStream]] as const) {
  t.test(`L1: ${kind} that is open is not waited for before the plugins close, and its tasks run when it ends`, async (t) => {
    const { app, events } = await withDatabases(t, { closeTimeout: HOUR })
    const opened = latch<() => void>()
    let run!: background.TaskRun
    app.get('/', (request, reply) => {
      run = reply.background.addTask(() => { events.push('task ran') })
      opened.open(open(reply))
    })
    const client = await connectTo(app)
    ask(client)
    await client.receives('data: first')
    const end = await opened
    const { closed, isClosed } = beginClose(app)
    await until(() => events.length > 0)
    await manyTurns()

    t.strictSame(events, ['preClose is over'])
    t.notOk(isClosed())
    t.equal(run.state, 'queued')
    end()
    await closed
    t.equal(run.state, 'completed')
    t.ok(events.indexOf('task ran') < events.indexOf('earlier database closed'))
  })

  t.test(`L1: while ${kind} is open, tasks of other replies are waited for`, async (t) => {
    const { app, events } = await withDatabases(t, { closeTimeout: HOUR })
    const opened = latch<() => void>()
    const go = latch()
    app.get('/', (request, reply) => {
      reply.background.addTask(() => { events.push('task of the stream ran') })
      opened.open(open(reply))
    })
    app.get('/other', async (request, reply) => {
      reply.background.addTask(async () => {
        await go
        events.push('task of the other ran')
      })
      return 'other'
    })
    const client = await connectTo(app)
    ask(client)
    const end = await opened
    await app.inject('/other')
    const { closed } = beginClose(app)
    await manyTurns()

    t.strictSame(events, [])
    go.open()
    await until(() => events.length > 1)
    t.strictSame(events, ['task of the other ran', 'preClose is over'])
    end()
    await closed
    t.ok(events.includes('task of the stream ran'))
  })
}

/** Sends the first event of a stream. @returns a function that ends it. */
function eventStream (reply: FastifyReply): () => void {
  const stream = new Readable({ read () {} })
  stream.push('data: first\n\n')
  reply.type('text/event-stream').send(stream)
  return () => { stream.push(null) }
}

function hijackedEventStream (reply: FastifyReply): () => void {
  reply.hijack()
  reply.raw.writeHead(200, { 'content-type': 'text/event-stream' })
  reply.raw.write('data: first\n\n')
  return () => { reply.raw.end() }
}
