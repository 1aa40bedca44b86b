import t from 'tap'
import background from '../lib/index'
import { createApp, memoryLogger } from './helpers/app'
import { counts } from './helpers/counts'
import { isCollected } from './helpers/gc'
import { latch, turn, until } from './helpers/latch'
import { occupy } from './helpers/limited'
import { timers } from './helpers/policies'
import { manyTurns } from './helpers/reply'
import { serve } from './helpers/serve'

const { BackgroundTask, BackgroundTasks, defineTask } = background
const ERROR = 50 // pino's level
const FULL = { name: 'FastifyError', code: 'FST_ERR_BACKGROUND_QUEUE_FULL', statusCode: 503 }
const noStart = (): never => { throw new Error('a refused task that starts') }
type Adder = Pick<background.AppBackground, 'addTask' | 'addTasks'>

t.test('L3: with maxPending, so many runs are accepted and no more, in every way', async (t) => {
  const app = await createApp(t, { maxPending: 3 })
  const go = latch()
  const response = await serve(app, (reply) => {
    const run = reply.background.addTask(() => go)
    app.background.addTasks([() => go, () => go])
    for (const to of [reply.background, app.background] as Adder[]) {
      t.throws(() => to.addTask(noStart), { ...FULL, message: 'Background task "noStart" refused: maxPending is 3' })
      t.throws(() => to.addTask(new BackgroundTask(noStart)), FULL)
      t.throws(() => to.addTask(defineTask(noStart, { name: 'defined' })), { ...FULL, message: /"defined"/ })
      t.throws(() => to.addTasks([noStart]), FULL)
      t.throws(() => to.addTasks(new BackgroundTasks([noStart])), FULL)
      t.strictSame(to.addTasks([]), [], 'nothing is always accepted')
      t.strictSame(to.addTasks(new BackgroundTasks()), [])
    }
    t.strictSame(app.background.stats(), counts({ accepted: 3, queued: 3 }))
    t.equal(reply.background.size, 1)
    t.equal(run.state, 'queued')
  })
  t.equal(response.statusCode, 200)
  go.open()
  await app.background.idle()
  t.strictSame(app.background.stats(), counts({ accepted: 3, completed: 3 }))
})

t.test('A2: a route that declares more tasks than there is ever room for fails where it is declared', async (t) => {
  const app = await createApp(t, { maxPending: 2 })
  const two = new BackgroundTasks([noStart, noStart])
  t.throws(() => app.get('/', { background: [two, noStart] }, async () => 'ok'), {
    code: 'FST_ERR_BACKGROUND_INVALID_OPTION',
    message: 'Option "maxPending": expected at least 3, for the tasks of Route GET /, got 2'
  })
  app.get('/', { background: two, onRequest: async (_, reply) => await reply.code(401).send() }, async () => 'ok')
  t.equal((await app.inject('/')).statusCode, 401, 'as many as there is room for are accepted')
  await app.background.idle()
  t.strictSame(app.background.stats(), counts({ accepted: 2, discarded: 2 }))
})

t.test('L3: what waits, what is at work and what is retrying count, what is finished does not', async (t) => {
  const app = await createApp(t, { maxPending: 3, concurrency: 1 })
  const retrying = app.background.addTask(defineTask(() => { throw new Error('broken') },
    { retries: 1, backoff: { delay: 60_000, jitter: false } }))
  await until(() => retrying.state === 'retrying')
  const open = await occupy(app, 1)
  const queued = app.background.addTask(() => {})
  t.match(app.background.stats(), { retrying: 1, active: 1, queued: 1 })
  t.throws(() => app.background.addTask(noStart), FULL)

  retrying.cancel()
  const second = app.background.addTask(() => {})
  t.throws(() => app.background.addTask(noStart), FULL, 'one was cancelled, one has come')
  second.cancel()
  app.background.addTask(() => { throw new Error('broken') })
  t.throws(() => app.background.addTask(noStart), FULL)
  open()
  await queued.finished()
  await app.background.idle()

  t.equal(app.background.addTasks([() => {}, () => {}, () => {}]).length, 3)
  t.throws(() => app.background.addTask(noStart), FULL)
  await app.background.idle()
  t.strictSame(app.background.stats(), counts({ accepted: 8, completed: 5, failed: 1, cancelled: 2 }))
})

t.test('L3: a run whose condition is not met gives its room back', async (t) => {
  const app = await createApp(t, { maxPending: 1 })
  await serve(app, (reply) => { reply.background.addTask(defineTask(noStart, { when: 'error' })) })
  await app.background.idle()

  t.equal((await app.background.addTask(() => 'done').finished()).result, 'done')
})

t.test('L3: a list is accepted as a whole or not at all, and groups count by their runs', async (t) => {
  const app = await createApp(t, { maxPending: 4 })
  const go = latch()
  const ran: string[] = []
  const note = (name: string) => () => { ran.push(name) }
  const response = await serve(app, (reply) => {
    reply.background.addTask(() => go)
    for (const to of [reply.background, app.background] as Adder[]) {
      const before = [app.background.stats(), reply.background.size]
      t.throws(() => to.addTasks([note('a'), noStart, noStart, noStart]), FULL)
      t.throws(() => to.addTasks(new BackgroundTasks([noStart, noStart, noStart, noStart])), FULL)
      t.throws(() => to.addTasks([noStart, new BackgroundTasks([noStart, noStart]), noStart]), FULL)
      t.strictSame([app.background.stats(), reply.background.size], before, 'as if nothing had been asked')
    }
    t.equal(reply.background.addTasks([note('b'), new BackgroundTasks([note('c'), note('d')])]).length, 3)
    t.throws(() => reply.background.addTask(noStart), FULL)
  })
  t.equal(response.statusCode, 200)
  go.open()
  await app.background.idle()

  t.strictSame(ran, ['b', 'c', 'd'])
  t.strictSame(app.background.stats(), counts({ accepted: 4, completed: 4 }))
})

t.test('L3: a list that is refused is named by the first of its tasks', async (t) => {
  const app = await createApp(t, { maxPending: 1 })
  const first = (): void => {}

  t.throws(() => app.background.addTasks([first, noStart]), { ...FULL, message: /"first"/ })
  t.throws(() => app.background.addTasks([new BackgroundTasks([first]), noStart]), { ...FULL, message: /"first"/ })
})

t.test('A2: what cannot be a task is said to be that, even where there is no room', async (t) => {
  const app = await createApp(t, { maxPending: 1 })
  const open = await occupy(app, 1)

  t.throws(() => app.background.addTask((function * () {}) as never), { code: 'FST_ERR_BACKGROUND_INVALID_TASK' })
  t.throws(() => app.background.addTask('no task' as never), { code: 'FST_ERR_BACKGROUND_INVALID_TASK' })
  t.throws(() => app.background.addTasks([noStart, 'no task' as never]), { code: 'FST_ERR_BACKGROUND_INVALID_TASK' })
  open()
})

t.test('L3: with tasks that add tasks without end, maxPending holds at every moment', async (t) => {
  const app = await createApp(t, { maxPending: 20, concurrency: 3 })
  let refused = 0
  let left = 2_000
  let most = 0
  async function spread (): Promise<void> {
    if (left % 3 === 0) await turn()
    for (let i = 0; i < 3 && left > 0; i++) {
      left--
      try {
        app.background.addTask(spread)
      } catch {
        refused++
      }
      const { queued, active, retrying } = app.background.stats()
      most = Math.max(most, queued + active + retrying)
    }
  }
  app.background.addTask(spread)
  await app.background.idle()

  t.equal(most, 20)
  t.ok(refused > 0)
  t.strictSame(app.background.stats(), counts({ accepted: 2_001 - refused, completed: 2_001 - refused }))
})

t.test('L3: two applications do not share maxPending', async (t) => {
  const full = await createApp(t, { maxPending: 1 })
  const other = await createApp(t, { maxPending: 1 })
  const open = await occupy(full, 1)

  t.throws(() => full.background.addTask(noStart), FULL)
  t.equal((await other.background.addTask(() => 'done').finished()).result, 'done')
  open()
})

t.test('R3: a task that adds more than there is room for fails, and says so', async (t) => {
  const { logger, lines } = memoryLogger('error')
  const app = await createApp(t, { maxPending: 1 }, { logger })
  app.get('/added', async (_, reply) => {
    reply.background.addTask(function adding () { reply.background.addTask(noStart) })
    return 'ok'
  })
  app.get('/returned', { background: async function returning () { return [new BackgroundTask(noStart)] } }, async () => 'ok')
  for (const path of ['/added', '/returned']) {
    t.equal((await app.inject(path)).statusCode, 200)
    await app.background.idle()
  }

  const err = { code: 'FST_ERR_BACKGROUND_QUEUE_FULL', message: 'Background task "noStart" refused: maxPending is 1' }
  t.match(lines, [
    { level: ERROR, task: 'adding', taskId: String, msg: 'background task failed', err },
    { level: ERROR, task: 'returning', taskId: String, msg: 'background task failed', err }
  ])
  t.strictSame(app.background.stats(), counts({ accepted: 2, failed: 2 }))
})

t.test('R6, L4: of a request that was refused nothing is left', async (t) => {
  const app = await createApp(t, { maxPending: 1, closeTimeout: 3_600_000 }, { pluginTimeout: 0 })
  const refs: Array<WeakRef<object>> = []
  app.addHook('onRequest', async (request, reply) => { refs.push(new WeakRef(request), new WeakRef(reply)) })
  app.get('/handler', async (_, reply) => reply.background.addTask(noStart))
  app.get('/route', { background: noStart }, async () => 'ok')
  const open = await occupy(app, 1)
  const before = timers()
  for (const path of ['/handler', '/route']) t.equal((await app.inject(path)).statusCode, 503)
  await manyTurns()

  for (const ref of refs) t.ok(await isCollected(ref))
  t.equal(timers(), before)
  t.strictSame(app.background.stats(), counts({ accepted: 1, active: 1 }))
  open()
  // With an hour of time: there is nothing to wait for.
  await app.close()
})

t.test('L2: after the close it is the close that is told, not that there is no room', async (t) => {
  const app = await createApp(t, { maxPending: 1 })
  await app.close()

  t.throws(() => app.background.addTasks([noStart, noStart]), { code: 'FST_ERR_BACKGROUND_CLOSED', statusCode: 503 })
})

t.test('L1: the runs of an application that closes still count', async (t) => {
  const app = await createApp(t, { maxPending: 1 })
  const open = await occupy(app, 1)
  const closed = app.close()

  t.throws(() => app.background.addTask(noStart), FULL)
  open()
  await closed
})
