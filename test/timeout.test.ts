import { AsyncLocalStorage } from 'node:async_hooks'
import { setTimeout } from 'node:timers/promises'
import t, { type Test } from 'tap'
import background from '../lib/index'
import { createApp, memoryLogger } from './helpers/app'
import { counts } from './helpers/counts'
import { ask, assertCollected, use } from './helpers/held'
import { latch, turn, until } from './helpers/latch'
import { AT_ONCE, IN_A_MINUTE, MINUTE, block, never, onEvent, timers } from './helpers/policies'
import { manyTurns } from './helpers/reply'
import { serve } from './helpers/serve'
import { unhandledRejections } from './helpers/unhandled'

const { BackgroundTasks, defineTask } = background
const TIMED_OUT = { code: 'FST_ERR_BACKGROUND_TASK_TIMEOUT' }
const WARN = 40 // pino's levels
const ERROR = 50

t.test('R5: a run that takes longer than its timeout has failed, though its function goes on, and the next one starts', async (t) => {
  const { logger, lines } = memoryLogger('warn')
  const calls: unknown[][] = []
  const app = await createApp(t, { onTaskError: (...args) => { calls.push(args) } }, { logger })
  let run!: background.TaskRun
  let next!: background.TaskRun
  await serve(app, (reply) => {
    run = reply.background.addTask(defineTask(never, { name: 'slow', timeout: 5 }))
    next = reply.background.addTask(() => 'went on')
  })
  await app.background.idle()

  t.match(run, { state: 'failed', attempt: 1, result: undefined, finishedAt: Number })
  t.match(run.error, { ...TIMED_OUT, name: 'FastifyError', statusCode: 500, message: 'Background task "slow" timed out after 5 ms' })
  t.equal(next.result, 'went on')
  t.match(lines, [{ level: ERROR, err: TIMED_OUT, task: 'slow', taskId: run.id, reqId: 'req-1', msg: /^background task failed$/ }])
  t.equal(lines.length, 1)
  t.equal(calls.length, 1)
  t.ok(calls[0][0] === run.error && calls[0][1] === run)
  t.strictSame(app.background.stats(), counts({ accepted: 2, failed: 1, completed: 1 }))
})

t.test('R5: a plain function has the plugin\'s timeout, and one whose thenable never calls back is timed out', async (t) => {
  const app = await createApp(t, { timeout: 5 })
  const runs = app.background.addTasks([never, () => ({ then () {} })])
  await app.background.idle()

  for (const run of runs) t.match(run, { state: 'failed', error: TIMED_OUT })
})

t.test('R5: the signal is aborted with the error that the attempt has failed with, once the run has left it', async (t) => {
  const app = await createApp(t, { timeout: 5 })
  const seen: unknown[] = []
  const run: background.TaskRun = app.background.addTask(function () {
    this.signal.addEventListener('abort', () => { seen.push(run.state, this.signal.reason === run.error) })
    seen.push(this.signal.aborted)
    return never()
  })
  await run.finished()
  await turn()

  t.strictSame(seen, [false, 'failed', true])
})

t.test('R5: a signal that is read when the time was up is aborted already, and the same at every time', async (t) => {
  const app = await createApp(t, { timeout: 5 })
  let context!: background.TaskContext
  const run = await app.background.addTask(function () {
    context = this
    return never()
  }).finished()
  await turn()

  t.equal(context.signal.aborted, true)
  t.equal(context.signal.reason, run.error)
  t.equal(context.signal, context.signal)
})

t.test('R5: each attempt has a time and a signal of its own', async (t) => {
  const app = await createApp(t)
  const signals: AbortSignal[] = []
  const seen: unknown[] = []
  const task = defineTask(async function () {
    seen.push(signals.map(({ aborted }) => aborted))
    signals.push(this.signal)
    t.equal(this.signal.aborted, false)
    if (this.attempt === 2) throw new Error('broken')
    if (this.attempt < 4) await never()
    return 'done'
  }, { timeout: 5, retries: 3, backoff: AT_ONCE })
  const run = await app.background.addTask(task).finished()

  t.match(run, { state: 'completed', attempt: 4, error: undefined, result: 'done' })
  t.strictSame(seen, [[], [true], [true, false], [true, false, true]], 'one that failed by itself is not aborted')
  t.equal(new Set(signals).size, 4)
})

t.test('R3: a time-out with retries left is a warning, and the run is retrying', async (t) => {
  const { logger, lines } = memoryLogger('warn')
  const errors: unknown[] = []
  const app = await createApp(t, { timeout: 5, retries: 1, backoff: AT_ONCE, onTaskError: (error) => { errors.push(error) } }, { logger })
  const seen: unknown[] = []
  onEvent(t, app, 'retrying', ({ run, error }) => { seen.push(run.state, run.attempt, (error as { code: string }).code, app.background.stats()) })
  await app.background.addTask(never).finished()

  t.strictSame(seen, ['retrying', 1, TIMED_OUT.code, counts({ accepted: 1, retrying: 1 })])
  t.match(lines, [{ level: WARN, err: TIMED_OUT, attempt: 1, msg: /tried again in 0 ms$/ }, { level: ERROR, err: TIMED_OUT }])
  t.equal(lines.length, 2)
  t.equal(errors.length, 1)
})

for (const [what, settle] of [
  ['result', () => 'late'],
  ['rejection', () => { throw new Error('late') }]
] as const) {
  t.test(`R5: the late ${what} of an attempt that was timed out is ignored`, async (t) => {
    const unhandled = unhandledRejections(t)
    const { logger, lines } = memoryLogger('info')
    const errors: unknown[] = []
    const go = latch()
    const app = await createApp(t, { timeout: 5, onTaskError: (error) => { errors.push(error) } }, { logger })
    const run = await app.background.addTask(() => go.then(settle)).finished()
    const { error, finishedAt } = run
    go.open()
    await manyTurns()

    t.match(run, { state: 'failed', result: undefined, finishedAt })
    t.equal(run.error, error)
    t.strictSame(app.background.stats(), counts({ accepted: 1, failed: 1 }))
    t.strictSame([lines.length, errors.length, unhandled.length], [1, 1, 0])
  })

  t.test(`R5: the late ${what} of an attempt that was timed out does not count while the next one is at work`, async (t) => {
    const unhandled = unhandledRejections(t)
    const { logger, lines } = memoryLogger('info')
    const first = latch()
    // As many as it takes for one that is not held up for its whole time.
    const app = await createApp(t, { retries: 100, backoff: AT_ONCE }, { logger })
    const run = await app.background.addTask(defineTask(async function () {
      if (this.attempt === 1) {
        await first
        this.progress(0.5)
        return settle()
      }
      first.open()
      await turn()
      await turn()
      return 'in time'
    }, { timeout: 20 })).finished()

    t.match(run, { state: 'completed', error: undefined, result: 'in time', progress: undefined })
    t.equal(lines.length, run.attempt - 1)
    t.strictSame(unhandled, [])
  })
}

t.test('R5: a function that rejects because of its signal has failed once, by the time-out', async (t) => {
  const unhandled = unhandledRejections(t)
  const { logger, lines } = memoryLogger('warn')
  const app = await createApp(t, { timeout: 5, retries: 1, backoff: AT_ONCE }, { logger })
  const before = timers()
  const run = await app.background.addTask(function () { return setTimeout(MINUTE, undefined, { signal: this.signal }) }).finished()
  await turn()

  t.match(run, { state: 'failed', attempt: 2, error: TIMED_OUT })
  t.strictSame(lines.map(({ level }) => level), [WARN, ERROR])
  t.strictSame(unhandled, [])
  t.equal(timers(), before, 'the work has ended too')
})

t.test('R5: a synchronous function is not timed out, however long it takes', async (t) => {
  const app = await createApp(t, { timeout: 5 })
  const run = app.background.addTask(() => {
    block(30)
    return 'done'
  })
  const failed = app.background.addTask(() => {
    block(30)
    throw new Error('broken')
  })
  await app.background.idle()
  await manyTurns()

  t.match(run, { state: 'completed', result: 'done' })
  t.match(failed, { state: 'failed', error: { message: 'broken' } })
})

t.test('R5: an asynchronous function that begins with long synchronous work is timed out like any', async (t) => {
  const app = await createApp(t, { timeout: 5 })
  const run = await app.background.addTask(async () => {
    block(20)
    await never()
  }).finished()

  t.match(run, { state: 'failed', error: TIMED_OUT })
})

t.test('R5: the place of a run that was timed out is free at once, and is freed once', async (t) => {
  const app = await createApp(t, { concurrency: 1 })
  const [late, go] = [latch(), latch()]
  const [slow, next, last] = app.background.addTasks([defineTask(() => late, { timeout: 5 }), () => go, () => {}])
  await until(() => next.state === 'active')

  t.equal(slow.state, 'failed')
  late.open()
  await manyTurns()
  t.equal(last.state, 'queued', 'what the function still does frees nothing')
  go.open()
  await app.background.idle()
  t.strictSame(app.background.stats(), counts({ accepted: 3, failed: 1, completed: 2 }))
})

t.test('R1: a group goes on after a time-out, and stops at one if that is its rule', async (t) => {
  const app = await createApp(t)
  const slow = defineTask(never, { timeout: 5 })
  const [goesOn, stops] = (['continue', 'stop'] as const)
    .map((onFailure) => app.background.addTasks(new BackgroundTasks([slow, () => {}], { onFailure })))
  await app.background.idle()

  t.strictSame(goesOn.map(({ state }) => state), ['failed', 'completed'])
  t.strictSame(stops.map(({ state }) => state), ['failed', 'discarded'])
})

t.test('R4: the log lines and onTaskError of a time-out have the task\'s stores', async (t) => {
  const store = new AsyncLocalStorage<string>()
  const { logger, lines } = memoryLogger('warn')
  const seen: unknown[] = []
  const app = await createApp(t, { timeout: 5, retries: 1, backoff: AT_ONCE, onTaskError: () => { seen.push(store.getStore()) } }, {
    logger: { ...(logger as object), mixin: () => ({ store: store.getStore() }) }
  })
  // The first of a turn: what is dispatched with it is dispatched from its place.
  store.run('another place', () => app.background.addTask(() => {}))
  const run = store.run('place', () => app.background.addTask(never))
  await run.finished()

  t.strictSame(lines.map(({ level, store }) => [level, store]), [[WARN, 'place'], [ERROR, 'place']])
  t.strictSame(seen, ['place'])
})

t.test('R5: what listens to the signal may cancel the run, which is not tried again then', async (t) => {
  const app = await createApp(t, { timeout: 5, retries: 1, backoff: IN_A_MINUTE })
  const before = timers()
  const cancelled: boolean[] = []
  const run: background.TaskRun = app.background.addTask(function () {
    this.signal.addEventListener('abort', () => { cancelled.push(run.cancel('enough'), run.cancel()) })
    return never()
  })
  await run.finished()

  t.match(run, { state: 'cancelled', attempt: 1, error: 'enough' })
  t.strictSame(cancelled, [true, false])
  t.equal(timers(), before)
})

for (const [how, end] of [
  ['completes', (go: Promise<void>) => go],
  ['rejects', (go: Promise<void>) => go.then(() => { throw new Error('broken') })],
  ['is cancelled', (go: Promise<void>, run: background.TaskRun) => { go.then(() => run.cancel()); return never() }]
] as const) {
  t.test(`L4: the timer of a time-out is there while the attempt is at work, and gone when it ${how}`, async (t) => {
    const app = await createApp(t, { timeout: MINUTE })
    const before = timers()
    const go = latch()
    const run: background.TaskRun = app.background.addTask(() => end(go, run))
    await until(() => run.state === 'active')

    t.equal(timers(), before + 1)
    go.open()
    await run.finished()
    t.equal(timers(), before)
  })
}

for (const [how, end] of [
  ['returns', () => {}],
  ['throws', () => { throw new Error('broken') }],
  ['cancels itself', (run: background.TaskRun) => { run.cancel(); return never() }]
] as const) {
  t.test(`L4: a task that ${how} at once needs no timer`, async (t) => {
    const app = await createApp(t, { timeout: MINUTE })
    const before = timers()
    const run: background.TaskRun = app.background.addTask(() => end(run))
    await run.finished()
    await turn()

    t.equal(timers(), before)
  })
}

t.test('L4: a timeout of 0 is none, and needs no timer', async (t) => {
  const app = await createApp(t, { timeout: MINUTE })
  const before = timers()
  const go = latch()
  const run = app.background.addTask(defineTask(() => go, { timeout: 0 }))
  await until(() => run.state === 'active')

  t.equal(timers(), before)
  go.open()
  await run.finished()
})

t.test('R6: a run that was timed out, whose function never ends, holds neither request, reply nor arguments', async (t) => {
  const app = await createApp(t, { timeout: 5, retries: 1, backoff: AT_ONCE })
  const runs: background.TaskRun[] = []
  const contexts: background.TaskContext[] = []
  const held = await ask(app, (reply, argument) => {
    // The function forgets what it was called with: only the run could hold it.
    runs.push(reply.background.addTask(function (argument, reply) {
      use(argument, reply)
      contexts.push(this)
      this.signal.addEventListener('abort', () => {})
      return never()
    }, argument, reply))
  })
  await app.background.idle()

  t.match(runs, [{ state: 'failed', attempt: 2, error: TIMED_OUT }])
  await assertCollected(t, held)
  t.equal(contexts.length, 2, 'the contexts are held to the end, as the runs are')
  t.equal(runs.length, 1)
})

t.test('R5: what a function takes until it returns counts', async (t) => {
  const app = await createApp(t, { timeout: 50 })
  const delay = delayOfNextTimer(t)
  const run = await app.background.addTask(async () => {
    block(60)
    delay.take()
    return await never()
  }).finished()

  t.match(run, { state: 'failed', error: TIMED_OUT })
  t.equal(delay.value, 1)
})

t.test('R5: a time-out does not go by the time of day, which may be set', async (t) => {
  const app = await createApp(t, { timeout: MINUTE })
  const { now } = Date
  t.teardown(() => { Date.now = now })
  for (const step of [MINUTE, -MINUTE]) {
    const delay = delayOfNextTimer(t)
    const run = app.background.addTask(async () => {
      Date.now = () => now() + step
      delay.take()
      return await never()
    })
    await until(() => run.state === 'active')
    Date.now = now
    t.ok(delay.value! > MINUTE / 2 && delay.value! <= MINUTE, String(delay.value))
    run.cancel()
  }
})

/** Watches for the timer that is set next, once it is told to. */
function delayOfNextTimer (t: Test): { take: () => void, value: number | undefined } {
  const { setTimeout } = globalThis
  t.teardown(() => { globalThis.setTimeout = setTimeout })
  const delay = { take, value: undefined as number | undefined }
  function take (): void {
    globalThis.setTimeout = Object.assign((...args: Parameters<typeof setTimeout>) => {
      delay.value = args[1]
      globalThis.setTimeout = setTimeout
      return setTimeout(...args)
    }, setTimeout) as typeof setTimeout
  }
  return delay
}
