import t from 'tap'
import background from '../lib/index'
import { createApp, listen, memoryLogger } from './helpers/app'
import { counts } from './helpers/counts'
import { latch } from './helpers/latch'
import { createStatusApp } from './helpers/status'

const { BackgroundTasks } = background

const OPTIONS: ReadonlyArray<readonly [when: background.When, onSuccess: string[], onError: string[]]> = [
  ['always', ['route', 'reply'], ['route', 'reply']],
  ['success', ['route', 'reply'], []],
  ['error', [], ['route', 'reply']],
  [(_request, reply) => reply.statusCode === 500, [], ['route', 'reply']],
  [(request) => request.url === '/200', ['route', 'reply'], []]
]

for (const [when, onSuccess, onError] of OPTIONS) {
  t.test(`T4: the option when: ${String(when)} holds for the tasks of a route and those added by a call`, async (t) => {
    const { app, ask } = await createStatusApp(t, { when })

    t.strictSame(await ask('/200'), onSuccess)
    t.strictSame(await ask('/500'), onError)
    const completed = onSuccess.length + onError.length
    t.strictSame(app.background.stats(), counts({ accepted: 4, completed, discarded: 4 - completed }))
  })
}

t.test('T4: "when" is read once the reply has settled, whatever was known when the task was added', async (t) => {
  const read: unknown[] = []
  const app = await createApp(t, { when: (_request, reply) => read.push([reply.statusCode, reply.sent]) > 0 })
  app.get('/', async (_, reply) => {
    reply.background.addTask(() => {})
    t.strictSame(read, [])
    return reply.code(418).send('x')
  })
  const { url } = await listen(app)

  await fetch(url)
  await app.background.idle()

  t.strictSame(read, [[418, true]])
})

t.test('T4: the result of "when" is taken for true or false', async (t) => {
  const results: unknown[] = [1, '', 'yes', undefined, {}, null]
  const app = await createApp(t, { when: () => results.shift() as boolean })
  app.get('/', async (_, reply) => {
    reply.background.addTasks(new Array(6).fill(() => {}))
    return 'ok'
  })
  const { url } = await listen(app)

  await fetch(url)
  await app.background.idle()

  t.strictSame(app.background.stats(), counts({ accepted: 6, completed: 3, discarded: 3 }))
})

t.test('T4: "when" decides on each task of a group', async (t) => {
  const results = [true, false, true]
  const app = await createApp(t, { when: () => results.shift()! })
  const ran: number[] = []
  app.get('/', async (_, reply) => {
    reply.background.addTasks(new BackgroundTasks([() => { ran.push(1) }, () => { ran.push(2) }, () => { ran.push(3) }]))
    return 'ok'
  })
  const { url } = await listen(app)

  await fetch(url)
  await app.background.idle()

  t.strictSame(ran, [1, 3])
  t.strictSame(app.background.stats(), counts({ accepted: 3, completed: 2, discarded: 1 }))
})

t.test('T4: "when" holds for a task that is added after the reply has settled', async (t) => {
  const app = await createApp(t, { when: 'error' })
  const added = latch()
  let late: (() => background.TaskRun) | undefined
  app.get('/', async (_, reply) => {
    late = () => reply.background.addTask(() => {})
    reply.background.addTask(() => {}).finished().then(() => added.open())
    return 'ok'
  })
  const { url } = await listen(app)

  await fetch(url)
  await added
  const run = late!()
  await app.background.idle()

  t.equal(run.state, 'discarded')
  t.strictSame(app.background.stats(), counts({ accepted: 2, discarded: 2 }))
})

t.test('T4: a "when" that throws fails its run, which is reported as any failure, and the others go on', async (t) => {
  const { logger, lines } = memoryLogger('error')
  const reported: unknown[] = []
  const ran: string[] = []
  let calls = 0
  const app = await createApp(t, {
    when () {
      if (++calls === 2) throw new Error('no condition')
      return true
    },
    onTaskError (error, run) { reported.push([(error as Error).message, run.name, run.state]) }
  }, { logger })
  app.get('/', { background: function first () { ran.push('first') } }, async (_, reply) => {
    reply.background.addTask(function second () { ran.push('second') })
    reply.background.addTask(function third () { ran.push('third') })
    return 'ok'
  })
  const { url } = await listen(app)

  await fetch(url)
  await app.background.idle()

  t.strictSame(ran, ['first', 'third'])
  t.strictSame(reported, [['no condition', 'second', 'failed']])
  t.match(lines, [{ task: 'second', err: { message: 'no condition' }, reqId: 'req-1' }])
  t.equal(lines.length, 1)
  t.strictSame(app.background.stats(), counts({ accepted: 3, completed: 2, failed: 1 }))
})

for (const [name, promise] of [
  ['resolves', () => Promise.resolve(true)], ['rejects', () => Promise.reject(new Error('x'))]
] as const) {
  t.test(`T4: a "when" that returns a promise that ${name} fails its run, and the others go on`, async (t) => {
    const reported: unknown[] = []
    let calls = 0
    const app = await createApp(t, {
      when: (() => ++calls === 1 ? promise() : true) as background.When,
      onTaskError (error) { reported.push(error) }
    })
    const ran: string[] = []
    app.get('/', async (_, reply) => {
      reply.background.addTask(() => { ran.push('first') })
      reply.background.addTask(() => { ran.push('second') })
      return 'ok'
    })
    const { url } = await listen(app)

    await fetch(url)
    await app.background.idle()

    t.strictSame(ran, ['second'])
    t.match(reported, [{ name: 'TypeError', message: /"when" returned a promise/ }])
    t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 1, failed: 1 }))
  })
}

t.test('T4: "when" is without meaning outside a request', async (t) => {
  const app = await createApp(t, { when: 'error' })
  const ran: string[] = []
  app.background.addTask(() => { ran.push('app') })
  await app.background.idle()

  t.strictSame(ran, ['app'])
})
