import { AsyncLocalStorage } from 'node:async_hooks'
import t from 'tap'
import type { FastifyInstance } from 'fastify'
import background from '../lib/index'
import { createApp, listen, memoryLogger } from './helpers/app'
import { counts } from './helpers/counts'
import { revoked, trap } from './helpers/hostile'
import { latch, turn, until } from './helpers/latch'
import { AT_ONCE, IN_A_MINUTE, failing, onEvent } from './helpers/policies'
import { closed, manyTurns } from './helpers/reply'
import { serve } from './helpers/serve'
import { head, rawClient } from './helpers/tcp'
import { unhandledRejections } from './helpers/unhandled'

const { BackgroundTasks, defineTask } = background
const WARN = 40 // pino's levels
const ERROR = 50

t.test('R3: a failed attempt with retries left is retrying, then active again, then completed, and the error is gone', async (t) => {
  const app = await createApp(t, { retries: 2, backoff: AT_ONCE })
  const errors = [new Error('first'), new Error('second')]
  const seen: unknown[] = []
  const note = (): void => { seen.push([run.state, run.attempt, run.finishedAt, app.background.stats()]) }
  onEvent(t, app, 'retrying', ({ run, error }) => {
    note()
    t.equal(run.error, errors[run.attempt - 1])
    t.equal(error, run.error)
  })
  const run: background.TaskRun = app.background.addTask(async function () {
    note()
    await turn()
    if (this.attempt < 3) throw errors[this.attempt - 1]
    return 'done'
  })
  const startedAt = (): number | undefined => run.startedAt
  await until(() => run.state === 'active')
  const first = startedAt()
  await run.finished()

  const active = counts({ accepted: 1, active: 1 })
  const retrying = counts({ accepted: 1, retrying: 1 })
  t.strictSame(seen, [
    ['active', 1, undefined, active], ['retrying', 1, undefined, retrying], ['active', 2, undefined, active],
    ['retrying', 2, undefined, retrying], ['active', 3, undefined, active]
  ])
  t.match(run, { state: 'completed', attempt: 3, error: undefined, result: 'done', finishedAt: Number })
  t.equal(startedAt(), first, 'startedAt is that of the first attempt')
  t.strictSame(app.background.stats(), counts({ accepted: 1, completed: 1 }))
})

t.test('R3: each failure with retries left is one warning, the last one the error and the one call of onTaskError', async (t) => {
  const { logger, lines } = memoryLogger('warn')
  const calls: unknown[][] = []
  const app = await createApp(t, { onTaskError: (...args) => { calls.push(args) } }, { logger })
  let run!: background.TaskRun
  await serve(app, (reply) => {
    run = reply.background.addTask(defineTask(failing(3), { name: 'flaky', retries: 2, backoff: { delay: 2, factor: 3, jitter: false } }))
  })
  await app.background.idle()
  await turn()

  const common = { task: 'flaky', taskId: run.id, reqId: 'req-1' }
  t.match(lines, [
    { level: WARN, err: { message: 'broken in attempt 1' }, attempt: 1, msg: /^background task failed, to be tried again in 2 ms$/, ...common },
    { level: WARN, err: { message: 'broken in attempt 2' }, attempt: 2, msg: /^background task failed, to be tried again in 6 ms$/, ...common },
    { level: ERROR, err: { message: 'broken in attempt 3' }, msg: /^background task failed$/, ...common }
  ])
  t.equal(lines.length, 3)
  t.match(run, { state: 'failed', attempt: 3, error: { message: 'broken in attempt 3' } })
  t.equal(calls.length, 1)
  t.equal(calls[0][0], run.error)
  t.equal(calls[0][1], run)
})

t.test('R3: a run that completes in the end is no error, and onTaskError is not called', async (t) => {
  const { logger, lines } = memoryLogger('warn')
  const errors: unknown[] = []
  const app = await createApp(t, { retries: 1, backoff: AT_ONCE, onTaskError: (error) => { errors.push(error) } }, { logger })
  const run = await app.background.addTask(failing(1)).finished()

  t.equal(run.result, 2)
  t.strictSame(lines.map(({ level }) => level), [WARN])
  t.strictSame(errors, [])
})

const thrown: Record<string, unknown> = {
  undefined,
  null: null,
  'a symbol': Symbol('broken'),
  'a string': 'broken',
  'a function': trap,
  'a frozen error': Object.freeze(new Error('broken')),
  'a proxy whose traps throw': new Proxy(new Error('broken'), { get: trap, has: trap, ownKeys: trap, getPrototypeOf: trap }),
  'a revoked proxy': revoked(),
  'an object without a prototype': Object.create(null)
}

for (const [what, error] of Object.entries(thrown)) {
  for (const [how, fail] of [
    ['throws', () => { throw error }],
    ['rejects with', async () => { throw error }]
  ] as const) {
    t.test(`R3: a task that ${how} ${what} is tried again, then failed, and nothing else happens`, async (t) => {
      const unhandled = unhandledRejections(t)
      const { logger, lines } = memoryLogger('warn')
      const errors: unknown[] = []
      const app = await createApp(t, { retries: 1, backoff: AT_ONCE, onTaskError: (error) => { errors.push(error) } }, { logger })
      const run = await app.background.addTask(fail).finished()
      await turn()

      t.equal(run.state, 'failed')
      t.equal(run.attempt, 2)
      t.ok(Object.is(run.error, error))
      t.strictSame(lines.map(({ level, taskId }) => [level, taskId]), [[WARN, run.id], [ERROR, run.id]])
      t.equal(errors.length, 1)
      t.equal(unhandled.length, 0)
    })
  }
}

t.test('R3: loggers that throw do not keep a run from being tried again', async (t) => {
  const app = await createApp(t, { retries: 1, backoff: AT_ONCE }, { logger: { level: 'warn', stream: { write: trap } } })

  t.match(await app.background.addTask(failing(1)).finished(), { state: 'completed', attempt: 2 })
})

t.test('R3: a condition that throws is not tried again', async (t) => {
  const app = await createApp(t, { retries: 3, backoff: AT_ONCE })
  let asked = 0
  await serve(app, (reply) => { reply.background.addTask(defineTask(() => {}, { when () { asked++; throw new Error('no condition') } })) })
  await app.background.idle()

  t.equal(asked, 1)
  t.strictSame(app.background.stats(), counts({ accepted: 1, failed: 1 }))
})

t.test('a run is the same in each attempt: its id, its arguments, its logger\'s names', async (t) => {
  const { logger, lines } = memoryLogger('info')
  const app = await createApp(t, {}, { logger })
  const argument = {}
  const seen: Array<[context: background.TaskContext, ...args: unknown[]]> = []
  const task = defineTask(function (...args: unknown[]) {
    seen.push([this, ...args])
    this.log.info(`attempt ${this.attempt}`)
    throw new Error('broken')
  }, { name: 'same', retries: 2, backoff: AT_ONCE })
  const run = await app.background.addTask(task, argument, 2).finished()

  t.strictSame(seen.map(([{ id, name, attempt }]) => [id, name, attempt]), [[run.id, 'same', 1], [run.id, 'same', 2], [run.id, 'same', 3]])
  for (const [, ...args] of seen) t.ok(args.length === 2 && args[0] === argument && args[1] === 2)
  t.equal(new Set(seen.map(([context]) => context)).size, 3, 'a context of its own each')
  t.match(lines.filter(({ msg }) => msg.startsWith('attempt')), [1, 2, 3].map((i) => ({ msg: `attempt ${i}`, task: 'same', taskId: run.id })))
})

t.test('R1: what stands behind a run or a group starts when the last attempt is over', async (t) => {
  const app = await createApp(t, { retries: 2, backoff: { delay: 3, jitter: false } })
  const ran: string[] = []
  const flaky = (name: string) => defineTask(function () {
    ran.push(`${name} ${this.attempt}`)
    if (this.attempt < 3) throw new Error('broken')
  })
  await serve(app, (reply) => {
    reply.background.addTask(flaky('a'))
    reply.background.addTask(() => { ran.push('behind a') })
    reply.background.addTasks([new BackgroundTasks([flaky('b'), () => { ran.push('behind b') }])])
    reply.background.addTasks([new BackgroundTasks([flaky('c')], { concurrency: 2 }), () => { ran.push('behind c') }])
  })
  await app.background.idle()

  t.strictSame(ran, ['a 1', 'a 2', 'a 3', 'behind a', 'b 1', 'b 2', 'b 3', 'behind b', 'c 1', 'c 2', 'c 3', 'behind c'])
})

t.test('R1: the queue of a reply waits while one of its runs is retrying; other replies do not', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  const runs: background.TaskRun[] = []
  app.get<{ Params: { name: string } }>('/:name', async ({ params: { name } }, reply) => {
    const attempts = name === 'flaky' ? 1 : 0
    runs.push(reply.background.addTask(defineTask(failing(attempts), { retries: 1, backoff: IN_A_MINUTE })))
    reply.background.addTask(() => { ran.push(name) })
    return 'ok'
  })
  await app.inject('/flaky')
  await until(() => runs[0].state === 'retrying')
  await app.inject('/other')
  await until(() => ran.length > 0)
  await manyTurns()

  t.strictSame(ran, ['other'])
  t.strictSame(app.background.stats(), counts({ accepted: 4, retrying: 1, queued: 1, completed: 2 }))
  runs[0].cancel()
  await app.background.idle()
  t.strictSame(ran, ['other', 'flaky'])
})

for (const [where, add] of [
  ['of a reply', async (app, tasks) => { await serve(app, (reply) => { reply.background.addTasks(tasks) }) }],
  ['outside a request', async (app, tasks) => { app.background.addTasks(tasks) }]
] satisfies Array<[string, (app: FastifyInstance, tasks: background.BackgroundTasks) => Promise<void>]>) {
  t.test(`R1: a run of a group ${where} that is retrying keeps its place, and its group goes on in the others`, async (t) => {
    const app = await createApp(t)
    const ran: string[] = []
    let retrying!: background.TaskRun
    onEvent(t, app, 'retrying', ({ run }) => { retrying = run })
    const flaky = defineTask(failing(1), { retries: 1, backoff: IN_A_MINUTE })
    const go = latch()
    await add(app, new BackgroundTasks([
      flaky,
      () => { ran.push('a') },
      () => { ran.push('b') },
      () => go,
      () => { ran.push('c') }
    ], { concurrency: 2 }))
    await until(() => ran.includes('b'))
    await manyTurns()

    t.strictSame(ran, ['a', 'b'], 'one place is taken by a run that is retrying, one by a run at work')
    t.strictSame(app.background.stats(), counts({ accepted: 5, retrying: 1, active: 1, completed: 2, queued: 1 }))
    retrying.cancel()
    await until(() => ran.includes('c'))
    go.open()
  })
}

t.test('R1: a group stops at the final failure, not at one with retries left', async (t) => {
  const app = await createApp(t, { retries: 1, backoff: AT_ONCE })
  const discardedAt: number[] = []
  onEvent(t, app, 'discarded', () => { discardedAt.push(runs[0].attempt) })
  const runs = app.background.addTasks(new BackgroundTasks([failing(2), () => {}], { onFailure: 'stop' }))
  const others = app.background.addTasks(new BackgroundTasks([failing(1), () => {}], { onFailure: 'stop' }))
  await app.background.idle()

  t.strictSame(runs.map(({ state }) => state), ['failed', 'discarded'])
  t.strictSame(discardedAt, [2])
  t.strictSame(others.map(({ state }) => state), ['completed', 'completed'])
})

t.test('a run that is retrying is not finished: it is known by its id, counted, and waited for', async (t) => {
  const app = await createApp(t, { retries: 1, backoff: IN_A_MINUTE })
  let size!: () => number
  let run!: background.TaskRun
  await serve(app, (reply) => {
    size = () => reply.background.size
    run = reply.background.addTask(failing(1))
    // An id that was never read is not kept.
    t.equal(app.background.get(run.id), run)
  })
  const ends: string[] = []
  run.finished().then(() => { ends.push('finished') })
  app.background.idle().then(() => { ends.push('idle') })
  await until(() => run.state === 'retrying')
  await manyTurns()

  t.equal(app.background.get(run.id), run)
  t.equal(size(), 1)
  t.strictSame(ends, [])
  run.cancel()
  await app.background.idle()
  t.strictSame(ends.sort(), ['finished', 'idle'])
})

t.test('R2: a run that is retrying takes no place of the application\'s concurrency', async (t) => {
  const app = await createApp(t, { concurrency: 1 })
  const run = app.background.addTask(defineTask(failing(1), { retries: 1, backoff: IN_A_MINUTE }))
  await until(() => run.state === 'retrying')

  t.equal((await app.background.addTask(() => 'went by').finished()).result, 'went by')
  t.equal(run.state, 'retrying')
  run.cancel()
})

t.test('R4: runs that are tried again in the same turn do not see each other\'s stores', async (t) => {
  const store = new AsyncLocalStorage<string>()
  const app = await createApp(t, { retries: 1, backoff: AT_ONCE })
  const seen: unknown[] = []
  function look (this: background.TaskContext, name: string): void {
    seen.push([this.attempt, name === store.getStore()])
    if (this.attempt === 1) throw new Error('broken')
  }
  for (const name of ['a', 'b', 'c']) store.run(name, () => app.background.addTask(look, name))
  await app.background.idle()

  t.strictSame(seen.sort(), [[1, true], [1, true], [1, true], [2, true], [2, true], [2, true]])
})

for (const [how, leaves] of [['has its reply', false], ['has left before the reply', true]] as const) {
  t.test(`R4: each attempt, its log line and onTaskError see the stores of the place that added it, where the client ${how}`, async (t) => {
    const store = new AsyncLocalStorage<string>()
    const { logger, lines } = memoryLogger('warn')
    const seen: unknown[] = []
    const app = await createApp(t, { retries: 2, backoff: AT_ONCE, onTaskError: () => { seen.push(['onTaskError', store.getStore()]) } }, {
      logger: { ...(logger as object), mixin: () => ({ store: store.getStore() }) }
    })
    const entered = latch()
    const left = latch()
    app.addHook('onSend', (request, reply, payload, done) => store.run('onSend', done))
    function route (this: background.TaskContext): never {
      seen.push([this.attempt, store.getStore()])
      throw new Error('broken')
    }
    app.get('/', { background: route }, async (request, reply) => {
      closed(reply).then(left.open)
      store.run('place', () => reply.background.addTask(async function added () {
        await turn()
        seen.push([this.attempt, store.getStore()])
        throw new Error('broken')
      }))
      entered.open()
      if (leaves) await left
      return 'ok'
    })
    const { port } = await listen(app)
    const client = await rawClient(port)
    client.socket.write(head('GET', '/', { connection: 'close' }))
    await entered
    if (leaves) client.leave()
    else await client.receives('ok')
    await app.background.idle()

    t.strictSame(seen, ['onSend', 'place'].flatMap((name) => [[1, name], [2, name], [3, name], ['onTaskError', name]]))
    t.strictSame(lines.map(({ level, task, store }) => [level, task, store]), [['route', 'onSend'], ['added', 'place']]
      .flatMap((rest) => [[WARN, ...rest], [WARN, ...rest], [ERROR, ...rest]]))
  })
}
