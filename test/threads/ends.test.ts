// How calls and threads end that do not end by themselves.
import t from 'tap'
import background, { defineTask, errorCodes } from '../../lib/index'
import { threadTask } from '../../lib/threads/threads'
import { createApp } from '../helpers/app'
import { until } from '../helpers/latch'
import { watch } from '../helpers/task-events'
import { fixture, isAtWork, keepThreads, letGo, listen, sharedNumbers, watchThreads } from '../helpers/threads'

type Shared = ReturnType<typeof sharedNumbers>
type Policy = background.TaskOptions

// Each test that ends a thread waits for another.
t.setTimeout(600_000)
const options = { maxThreads: 1, abortTimeout: 10, maxMemory: 64 }
const report = listen('a thread without a task has failed')
keepThreads(t, options, { logger: report.logger })

const where = threadTask<(...args: unknown[]) => { threadId: number }>(fixture())
const spin = (policy: Policy): background.TaskDefinition<[], Promise<void>> => threadTask<() => void>(fixture(), { export: 'spin', ...policy })
const block = (policy: Policy = {}): background.TaskDefinition<[shared: Shared], Promise<number>> =>
  threadTask<(shared: Shared) => number>(fixture(), { export: 'block', ...policy })

t.test('a spinning thread is ended and replaced when the time is up; the others go on', async (t) => {
  const app = await createApp(t)
  const alive = watchThreads(t)
  const { threadId } = await where()
  const spinning = app.background.addTask(spin({ timeout: 20 }))
  const next = app.background.addTask(where)
  t.match(await spinning.finished(), { state: 'failed', error: { code: 'FST_ERR_BACKGROUND_TASK_TIMEOUT' } })
  const other = (await next.finished()).result
  t.not(other?.threadId, threadId)
  t.equal(alive.size, 1)
})

t.test('a time-out is tried again by the policy', async (t) => {
  const app = await createApp(t)
  const run = await app.background.addTask(spin({ timeout: 1, retries: 1, backoff: { delay: 0 } })).finished()
  t.match(run, { state: 'failed', attempt: 2, error: { code: 'FST_ERR_BACKGROUND_TASK_TIMEOUT' } })
  t.equal(app.background.stats().active, 0)
})

t.test('the time of a task counts from when it has a thread', async (t) => {
  const app = await createApp(t)
  const shared = sharedNumbers()
  const first = app.background.addTask(block(), shared)
  const second = app.background.addTask(block({ timeout: 1 }), shared)
  await isAtWork(shared)
  // Of two timers with one delay, its own would have been the first.
  const other = defineTask(function idle () { return new Promise<void>(() => {}) }, { timeout: 1 })
  t.match(await app.background.addTask(other).finished(), { state: 'failed' })
  await until(() => second.state === 'active')
  letGo(shared)
  t.match(await first.finished(), { state: 'completed' })
  await second.finished()
})

t.test('a task that is cancelled while it waits for a thread never has one', async (t) => {
  const app = await createApp(t)
  const shared = sharedNumbers()
  const first = app.background.addTask(block(), shared)
  const waiting = app.background.addTask(block(), shared)
  await isAtWork(shared)
  await until(() => waiting.state === 'active')
  t.ok(waiting.cancel())
  letGo(shared)
  t.match(await first.finished(), { state: 'completed' })
  await where()
  t.equal(shared[1], 1)
})

t.test('a task that was cancelled before it asks for a thread never has one', async (t) => {
  const app = await createApp(t)
  const shared = sharedNumbers()
  watch(t, 'start', ({ run }) => { run.cancel() })
  t.match(await app.background.addTask(block(), shared).finished(), { state: 'cancelled' })
  await where()
  t.equal(shared[1], 0)
})

t.test('a task that is cancelled before its thread is at it is over when the thread says so', async (t) => {
  const app = await createApp(t)
  // The function has returned its promise, so the thread has its job.
  watch(t, 'end', ({ run }) => { run.cancel() })
  const task = threadTask(fixture(), { name: 'late', timeout: 60_000 })
  t.match(await app.background.addTask(task).finished(), { state: 'cancelled' })
  t.match(await where(), { threadId: Number })
})

t.test('a thread that exits fails its task, or has it tried again; the others go on', async (t) => {
  const app = await createApp(t)
  const exit = threadTask<(code: number) => void>(fixture(), { export: 'exit', retries: 1, backoff: { delay: 0 } })
  const run = app.background.addTask(exit, 3)
  const next = app.background.addTask(where)
  t.match(await run.finished(), { state: 'failed', attempt: 2 })
  t.type(run.error, errorCodes.FST_ERR_BACKGROUND_THREAD_ENDED)
  t.match(run.error, { message: 'Background task "exit": its thread has ended: worker exited with code: 3' })
  t.match(await next.finished(), { state: 'completed' })
})

t.test('a thread that runs out of memory fails its task; the others go on', async (t) => {
  const app = await createApp(t)
  const run = app.background.addTask(threadTask<() => void>(fixture(), { export: 'fill' }))
  const next = app.background.addTask(where)
  t.match(await run.finished(), { state: 'failed', error: { code: 'FST_ERR_BACKGROUND_THREAD_ENDED', cause: { code: 'ERR_WORKER_OUT_OF_MEMORY' } } })
  t.match(await next.finished(), { state: 'completed' })
})

t.test('an error that nobody catches in a thread fails its task', async (t) => {
  const app = await createApp(t)
  const run = await app.background.addTask(threadTask<() => void>(fixture(), { export: 'throwLater' })).finished()
  t.match(run, { state: 'failed', error: { code: 'FST_ERR_BACKGROUND_THREAD_ENDED', message: /later/, cause: { name: 'RangeError', message: 'later' } } })
})

t.test('an error behind the end of a task ends the thread, and is logged', async (t) => {
  const shared = sharedNumbers()
  await threadTask<(shared: Shared) => void>(fixture(), { export: 'leave' })(shared)
  letGo(shared)
  t.match(await report.line, { level: 50, err: { message: 'left behind' } })
  t.match(await where(), { threadId: Number })
})

t.test('at the deadline of shutdown a thread is ended with its run', async (t) => {
  const app = await createApp(t, { closeTimeout: 0 })
  const shared = sharedNumbers()
  const run = app.background.addTask(block(), shared)
  await isAtWork(shared)
  await app.close()
  t.match(run, { state: 'cancelled', error: { code: 'FST_ERR_BACKGROUND_CLOSED' } })
  t.match(await where(), { threadId: Number })
})
