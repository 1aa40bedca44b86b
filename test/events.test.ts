import { AsyncLocalStorage } from 'node:async_hooks'
import { tracingChannel } from 'node:diagnostics_channel'
import t, { type Test } from 'tap'
import background from '../lib/index'
import { createApp } from './helpers/app'
import { turn, until } from './helpers/latch'
import { never } from './helpers/policies'
import { manyTurns } from './helpers/reply'
import { serve } from './helpers/serve'
import { record, watch, type AnyEvent, type EventName } from './helpers/task-events'

const { BackgroundTasks, defineTask, RetryAfterError } = background
const broken = new Error('broken')
const AGAIN = { retries: 1, backoff: { delay: 0 } }
const LATER = { retries: 1, backoff: { delay: 60_000, jitter: false } }

// What an attempt publishes whose function returns a promise, with the state of the run.
const COMPLETES = ['start active', 'end active', 'asyncStart completed', 'asyncEnd completed']
const FAILS = ['start active', 'end active', 'error failed', 'asyncStart failed', 'asyncEnd failed', 'failed failed']
const IS_TRIED_AGAIN = ['start active', 'end active', 'error retrying', 'asyncStart retrying', 'asyncEnd retrying', 'retrying retrying']

for (const [what, task, expected] of [
  ['a synchronous task', () => 'done', ['start active', 'end completed']],
  ['an async task', async () => 'done', COMPLETES],
  ['a task of a thenable', () => ({ then (resolve: (value: string) => void) { resolve('done') } }), COMPLETES],
  ['a task that throws', () => { throw broken }, ['start active', 'error failed', 'failed failed', 'end failed']],
  ['a task that rejects', async () => { throw broken }, FAILS],
  ['a task that throws, then completes', defineTask(function () {
    if (this.attempt === 1) throw broken
  }, AGAIN), ['start active', 'error retrying', 'retrying retrying', 'end retrying', 'start active', 'end completed']],
  ['a task that rejects, then completes', defineTask(async function () {
    if (this.attempt === 1) throw broken
  }, AGAIN), [...IS_TRIED_AGAIN, ...COMPLETES]],
  ['a task that rejects in each attempt', defineTask(async () => { throw broken }, AGAIN), [...IS_TRIED_AGAIN, ...FAILS]],
  ['a task that times out', defineTask(never, { timeout: 2 }), FAILS],
  ['a task that times out, then completes', defineTask(async function () {
    if (this.attempt === 1) await never()
  }, { ...AGAIN, timeout: 20 }), [...IS_TRIED_AGAIN, ...COMPLETES]],
  ['a task that says how far it is', async function () {
    this.progress(0.5)
    await turn()
    this.progress(1)
  }, ['start active', 'progress active', 'end active', 'progress active', 'asyncStart completed', 'asyncEnd completed']]
] as Array<[string, background.TaskFunction<[]>, string[]]>) {
  t.test(`events: ${what}`, async (t) => {
    const app = await createApp(t)
    const { seen, lines } = record(t, app)
    app.background.addTask(task)
    t.strictSame(lines(), ['queued queued'], 'within the call')
    await app.background.idle()
    await turn()
    t.strictSame(lines(), ['queued queued', ...expected], 'outside a request')

    seen.length = 0
    await serve(app, (reply) => { reply.background.addTask(task) })
    await app.background.idle()
    await turn()
    t.strictSame(lines(), ['queued queued', ...expected], 'of a reply')
  })
}

t.test('events: runs that are cancelled', async (t) => {
  const app = await createApp(t, { concurrency: 1 })
  const { lines } = record(t, app)
  const active = app.background.addTask(async function active () {
    await turn()
    app.background.get(this.id)!.cancel()
    this.progress(1)
    throw broken
  })
  const queued = app.background.addTask(function queued () {})
  await until(() => active.state === 'active')
  queued.cancel()
  await app.background.addTask(function byItself () { app.background.get(this.id)!.cancel() }).finished()
  const retrying = app.background.addTask(defineTask(async () => { throw broken }, { ...LATER, name: 'retrying' }))
  await until(() => retrying.state === 'retrying')
  retrying.cancel()
  retrying.cancel()
  await manyTurns()

  t.strictSame(lines('queued'), ['queued queued', 'cancelled cancelled'])
  t.strictSame(lines('active'), ['queued queued', 'start active', 'end active', 'asyncStart cancelled', 'asyncEnd cancelled', 'cancelled cancelled'])
  t.strictSame(lines('byItself'), ['queued queued', 'start active', 'cancelled cancelled', 'end cancelled'])
  t.strictSame(lines('retrying'), ['queued queued', ...IS_TRIED_AGAIN, 'cancelled cancelled'])
})

t.test('events: a run whose condition throws has failed without an attempt', async (t) => {
  const app = await createApp(t)
  const { seen, lines } = record(t, app)
  await serve(app, (reply) => { reply.background.addTask(defineTask(() => {}, { when () { throw broken } })) })
  await app.background.idle()

  t.strictSame(lines(), ['queued queued', 'failed failed'])
  t.equal(seen[1].event.error, broken)
})

t.test('events: runs that are discarded', async (t) => {
  const app = await createApp(t)
  const { lines } = record(t, app)
  await serve(app, (reply) => {
    reply.background.addTasks([
      defineTask(() => {}, { name: 'by the status', when: 'error' }),
      defineTask(() => {}, { name: 'by a function', when: () => false }),
      new BackgroundTasks([() => { throw broken }, defineTask(() => {}, { name: 'by its group' })], { onFailure: 'stop' })
    ])
  })
  await app.background.idle()

  for (const name of ['by the status', 'by a function', 'by its group']) {
    t.strictSame(lines(name), ['queued queued', 'discarded discarded'], name)
  }
})

t.test('events: runs that shutdown ends', async (t) => {
  const app = await createApp(t, { concurrency: 1, closeTimeout: 20 })
  const { seen, lines } = record(t, app)
  const retrying = app.background.addTask(defineTask(async () => { throw broken }, { ...LATER, name: 'retrying' }))
  await until(() => retrying.state === 'retrying')
  const active = app.background.addTask(defineTask(never, { name: 'active' }))
  app.background.addTask(function waiting () {})
  await until(() => active.state === 'active')
  await app.close()

  t.strictSame(lines('retrying'), ['queued queued', ...IS_TRIED_AGAIN, 'cancelled cancelled'])
  t.strictSame(lines('active'), ['queued queued', 'start active', 'end active', 'asyncStart cancelled', 'asyncEnd cancelled', 'cancelled cancelled'])
  t.strictSame(lines('waiting'), ['queued queued', 'discarded discarded'])
  t.match(seen.filter(({ name }) => name === 'cancelled').map(({ event }) => event.reason),
    [{ code: 'FST_ERR_BACKGROUND_CLOSED' }, { code: 'FST_ERR_BACKGROUND_CLOSED' }])
})

t.test('events: a list is queued in order, when all of it is accepted; a route\'s tasks before the handler', async (t) => {
  const app = await createApp(t, { maxPending: 5 })
  const queued: string[] = []
  watch(t, 'queued', ({ run }) => queued.push(`${run.name} of ${app.background.stats().accepted}`))
  function a (): void {}
  function b (): void {}
  function c (): void {}
  const list = [a, new BackgroundTasks([b, c]), a]
  app.background.addTasks(list)
  t.strictSame(queued.splice(0), ['a of 4', 'b of 4', 'c of 4', 'a of 4'])
  t.throws(() => app.background.addTasks([b, b]), { code: 'FST_ERR_BACKGROUND_QUEUE_FULL' })
  t.strictSame(queued, [], 'what is refused is not queued')
  await app.background.idle()

  app.get('/', { background: [b, a] }, async (_, reply) => {
    t.strictSame(queued.splice(0), ['b of 6', 'a of 6'])
    reply.background.addTask(c)
    t.strictSame(queued.splice(0), ['c of 7'])
    return 'ok'
  })
  t.equal((await app.inject('/')).statusCode, 200)
  await app.background.idle()
})

t.test('events: the payload of an attempt is one object, which is filled as the attempt goes on', async (t) => {
  const app = await createApp(t)
  const { seen } = record(t, app)
  const run = app.background.addTask(defineTask(async function () {
    await turn()
    if (this.attempt === 1) throw broken
    return 'done'
  }, AGAIN))
  await run.finished()
  await app.background.addTask(() => 'at once').finished()
  await turn()
  const fields = ['background', 'run', 'attempt', 'queueTime']
  const of = (name: EventName): typeof seen => seen.filter((each) => each.name === name)

  t.strictSame(of('start').map((each) => [each.event.attempt, Object.keys(each.fields)]), [[1, fields], [2, fields], [1, fields]])
  t.strictSame(of('end').map((each) => Object.keys(each.fields)), [fields, fields, [...fields, 'duration', 'result']])
  t.strictSame(of('error').map((each) => Object.keys(each.fields)), [[...fields, 'duration', 'error']])
  t.strictSame(of('asyncEnd').map((each) => Object.keys(each.fields)), [[...fields, 'duration', 'error'], [...fields, 'duration', 'result']])
  const [first, second, third] = of('start').map(({ event }) => event)
  t.equal(new Set([first, second, third]).size, 3, 'one for each attempt')
  t.ok(['end', 'error', 'asyncStart', 'asyncEnd'].every((name) => of(name as EventName)[0].event === first))
  t.ok(['end', 'asyncStart', 'asyncEnd'].every((name) => of(name as EventName)[1].event === second))
  t.ok(of('end')[2].event === third)
  for (const event of [first, second, third]) {
    t.equal(event.background, app.background)
    t.ok(event.duration! >= 0 && event.queueTime! >= 0, `${event.duration} and ${event.queueTime} ms`)
  }
  t.equal(first.run, run)
  t.equal(first.error, broken)
  t.equal(first.queueTime, run.startedAt! - run.queuedAt)
  t.equal(second.queueTime, first.queueTime, 'that of the run')
  t.equal(second.result, 'done')
  t.equal(third.result, 'at once')
})

t.test('events: the payloads beside those of attempts', async (t) => {
  const app = await createApp(t)
  const { seen } = record(t, app)
  const reason = new Error('no longer wanted')
  const retried = app.background.addTask(defineTask(function () {
    this.progress({ value: 0.25, message: 'a quarter' })
    throw new RetryAfterError(60_000)
  }, { retries: 1 }))
  await until(() => retried.state === 'retrying')
  const { error } = retried
  retried.cancel(reason)
  const cancelled = app.background.addTask(() => {})
  cancelled.cancel()
  const timedOut = app.background.addTask(defineTask(never, { timeout: 2 }))
  await timedOut.finished()
  let discarded!: background.TaskRun
  await serve(app, (reply) => { discarded = reply.background.addTask(defineTask(() => {}, { when: 'error' })) })
  await discarded.finished()
  const payloads = (name: EventName): AnyEvent[] => seen.filter((each) => each.name === name).map((each) => each.fields)
  const of = (run: background.TaskRun): object => ({ background: app.background, run })

  same(t, payloads('queued'), [of(retried), of(cancelled), of(timedOut), of(discarded)])
  same(t, payloads('progress'), [{ ...of(retried), progress: retried.progress }])
  t.strictSame(retried.progress, { value: 0.25, message: 'a quarter' })
  same(t, payloads('retrying'), [{ ...of(retried), error, delay: 60_000 }])
  same(t, payloads('cancelled'), [{ ...of(retried), reason }, { ...of(cancelled), reason: cancelled.error }])
  t.match(cancelled.error, { name: 'AbortError' })
  same(t, payloads('failed'), [{ ...of(timedOut), error: timedOut.error }])
  same(t, payloads('discarded'), [of(discarded)])
  t.match(payloads('error').map((event) => event.error), [error, { code: 'FST_ERR_BACKGROUND_TASK_TIMEOUT' }])
})

t.test('events: stores bound to the start are there in the function, over its awaits, and nowhere else', async (t) => {
  const app = await createApp(t)
  const span = new AsyncLocalStorage<string>()
  const place = new AsyncLocalStorage<string>()
  const { start } = tracingChannel<unknown, background.AttemptEvent>('fastify.background.task')
  start.bindStore(span, ({ run, attempt }) => `${run.name} ${attempt}`)
  t.teardown(() => start.unbindStore(span))
  const stores: Array<string | undefined> = []
  const look = (): void => { stores.push(`${span.getStore()} in ${place.getStore()}`) }
  watch(t, 'asyncEnd', look)
  const task = defineTask(async function () {
    look()
    await turn()
    look()
    await new Promise((resolve) => setTimeout(resolve, 1))
    look()
    if (this.attempt === 1) throw broken
  }, { ...AGAIN, name: 'task' })
  await place.run('a place', () => app.background.addTask(task)).finished()
  await turn()

  t.strictSame(stores, [...new Array(4).fill('task 1 in a place'), ...new Array(4).fill('task 2 in a place')])
  t.equal(span.getStore(), undefined)
  await app.background.addTask(function other () { look() }).finished()
  t.equal(stores.at(-1), 'other 1 in undefined')
})

/** Asks for the very same objects, in the same fields: a comparison by their contents would look through them. */
function same (t: Test, found: object[], wanted: object[]): void {
  const parts = (objects: object[]): unknown[] => objects.flatMap((object) => Object.entries(object).flat())
  t.equal(parts(found).length, parts(wanted).length)
  t.ok(parts(found).every((part, i) => part === parts(wanted)[i]))
}
