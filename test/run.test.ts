import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { performance } from 'node:perf_hooks'
import t from 'tap'
import type { FastifyReply } from 'fastify'
import type background from '../lib/index'
import { createApp } from './helpers/app'
import { latch, turn, until } from './helpers/latch'
import { manyTurns } from './helpers/reply'
import { serve } from './helpers/serve'

t.test('R1: tasks of one reply run one at a time, in the order of the calls', async (t) => {
  const app = await createApp(t)
  const events: string[] = []
  async function slow (name: string): Promise<void> {
    events.push(`${name} starts`)
    await turn()
    events.push(`${name} ends`)
  }
  function fast (name: string): void {
    events.push(name)
  }
  await serve(app, (reply) => {
    reply.background.addTask(slow, 'a')
    reply.background.addTask(fast, 'b')
    reply.background.addTasks([() => slow('c'), () => fast('d')])
    reply.background.addTask(slow, 'e')
  })
  await app.background.idle()

  t.strictSame(events, ['a starts', 'a ends', 'b', 'c starts', 'c ends', 'd', 'e starts', 'e ends'])
})

t.test('R1: a task that takes its time holds up its own reply and no other', async (t) => {
  const app = await createApp(t)
  const go = latch()
  const ran: string[] = []
  app.get('/other', async (request, reply) => {
    reply.background.addTask(() => { ran.push('other') })
    return 'ok'
  })
  let first!: background.TaskRun
  let second!: background.TaskRun
  await serve(app, (reply) => {
    first = reply.background.addTask(async () => {
      await go
      ran.push('first')
    })
    second = reply.background.addTask(() => { ran.push('second') })
  })
  await until(() => first.state === 'active')
  await app.inject('/other')
  await until(() => ran.includes('other'))

  t.equal(first.state, 'active')
  t.equal(second.state, 'queued')
  go.open()
  await app.background.idle()
  t.strictSame(ran, ['other', 'first', 'second'])
})

t.test('R1: a failing task changes nothing in the order of the others', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  await serve(app, (reply) => {
    reply.background.addTask(() => { ran.push('first'); throw new Error('first') })
    reply.background.addTask(async () => { ran.push('second'); throw new Error('second') })
    reply.background.addTask(() => { ran.push('third') })
  })
  await app.background.idle()

  t.strictSame(ran, ['first', 'second', 'third'])
  t.match(app.background.stats(), { failed: 2, completed: 1 })
})

t.test('R1: a task that a condition adds waits for those before it', async (t) => {
  const events: string[] = []
  let asked = false
  const app = await createApp(t, {
    when (request, reply) {
      if (!asked) {
        asked = true
        reply.background.addTask(() => { events.push('added') })
      }
      return true
    }
  })
  await serve(app, (reply) => { reply.background.addTask(watched, events) })
  await app.background.idle()

  t.strictSame(events, ['starts', 'ends', 'added'])
})

t.test('R1: a task that onTaskError adds for a condition that threw waits for those before it', async (t) => {
  const events: string[] = []
  let broken = true
  let reply!: FastifyReply
  const app = await createApp(t, {
    when () {
      if (!broken) return true
      broken = false
      throw new Error('no condition')
    },
    onTaskError () { reply.background.addTask(() => { events.push('added') }) }
  })
  await serve(app, (current) => {
    reply = current
    reply.background.addTask(() => { events.push('never') })
    reply.background.addTask(watched, events)
  })
  await app.background.idle()

  t.strictSame(events, ['starts', 'ends', 'added'])
})

t.test('R2: plain, async and thenable-returning functions run alike', async (t) => {
  const app = await createApp(t)
  const runs: background.TaskRun[] = []
  await serve(app, (reply) => {
    runs.push(
      reply.background.addTask((value: number) => value + 1, 1),
      reply.background.addTask(async (value: number) => {
        await turn()
        return value + 1
      }, 2),
      reply.background.addTask((value: number) => thenable((resolve) => resolve(value + 1)), 3),
      reply.background.addTask(() => Promise.resolve(thenable((resolve) => resolve(5)))))
  })
  await app.background.idle()

  t.strictSame(runs.map((run) => run.state), ['completed', 'completed', 'completed', 'completed'])
  t.strictSame(runs.map((run) => run.result), [2, 3, 4, 5])
})

t.test('R2: a task of a thenable is at work until the thenable calls back', async (t) => {
  const app = await createApp(t)
  let answer!: (value: string) => void
  let run!: background.TaskRun
  let next!: background.TaskRun
  await serve(app, (reply) => {
    run = reply.background.addTask(() => thenable((resolve) => { answer = resolve }))
    next = reply.background.addTask(() => {})
  })
  await until(() => answer !== undefined)
  await manyTurns()

  t.equal(run.state, 'active')
  t.equal(next.state, 'queued')
  answer('done')
  t.equal((await run.finished()).result, 'done')
  t.equal((await next.finished()).state, 'completed')
})

t.test('a task function gets the arguments that it was added with, and its context as this', async (t) => {
  const app = await createApp(t)
  const calls: unknown[][] = []
  const contexts: background.TaskContext[] = []
  function named (this: background.TaskContext, ...args: unknown[]): void {
    calls.push(args)
    contexts.push(this)
  }
  const argument = { by: 'reference' }
  const run = app.background.addTask(named, 1, argument)
  app.background.addTask(named)
  await app.background.idle()

  t.strictSame(calls, [[1, argument], []])
  t.equal(calls[0][1], argument)
  t.equal(contexts[0].id, run.id)
  t.equal(contexts[0].name, 'named')
  t.not(contexts[1].id, run.id)
})

t.test('R2: a row of synchronous tasks of one reply lets I/O through', async (t) => {
  const app = await createApp(t)
  const io = await loopback(t)
  const events: string[] = []
  io.onData(() => events.push('io'))
  await serve(app, (reply) => {
    reply.background.addTask(sendAfter, io, events)
    for (let i = 0; i < 10; i++) reply.background.addTask(burn, events)
  })
  await app.background.idle()

  t.ok(isBetween('io', events), `I/O comes between two tasks: ${events.join(' ')}`)
})

t.test('R2: synchronous tasks of ten replies let I/O through', async (t) => {
  const app = await createApp(t)
  const io = await loopback(t)
  const events: string[] = []
  io.onData(() => events.push('io'))
  const replies: FastifyReply[] = []
  await serve(app, (reply) => { replies.push(reply) })
  for (let i = 1; i < 10; i++) await app.inject('/')
  await turn()

  // All replies are over: every one has a task that is ready in the same turn.
  replies[0].background.addTask(sendAfter, io, events)
  for (const reply of replies) reply.background.addTask(burn, events)
  await app.background.idle()

  t.equal(replies.length, 10)
  t.ok(isBetween('io', events), `I/O comes between two tasks: ${events.join(' ')}`)
})

t.test('R2: synchronous tasks outside requests let I/O through', async (t) => {
  const app = await createApp(t)
  const io = await loopback(t)
  const events: string[] = []
  io.onData(() => events.push('io'))
  app.background.addTask(sendAfter, io, events)
  for (let i = 0; i < 10; i++) app.background.addTask(burn, events)
  await app.background.idle()

  t.ok(isBetween('io', events), `I/O comes between two tasks: ${events.join(' ')}`)
})

async function watched (events: string[]): Promise<void> {
  events.push('starts')
  for (let i = 0; i < 5; i++) await turn()
  events.push('ends')
}

/** Keeps the processor busy for more than a turn's share. */
function burn (events: string[]): void {
  events.push('task')
  for (const end = performance.now() + 3; performance.now() < end;);
}

/** A task, too, so that what it sends cannot arrive before the first. */
function sendAfter (io: Loopback, events: string[]): void {
  burn(events)
  io.send()
}

function isBetween (event: string, events: string[]): boolean {
  const index = events.indexOf(event)
  return index > 0 && index < events.length - 1
}

function thenable<T> (then: (resolve: (value: T) => void) => void): PromiseLike<T> {
  return { then } as PromiseLike<T>
}

/** An event of real I/O: a byte over the loopback interface. */
interface Loopback { send: () => void, onData: (listener: () => void) => void }

async function loopback (t: { teardown: (fn: () => unknown) => void }): Promise<Loopback> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const accepted = once(server, 'connection')
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [receiver] = await accepted as [Socket]
  t.teardown(() => {
    client.destroy()
    receiver.destroy()
    server.close()
  })
  return {
    send: () => { client.write('x') },
    onData: (listener) => { receiver.on('data', listener) }
  }
}
