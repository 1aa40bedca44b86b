// When there are threads, and how many.
import { AsyncLocalStorage } from 'node:async_hooks'
import { execFileSync } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import workerThreads, { type Worker } from 'node:worker_threads'
import Fastify from 'fastify'
import t from 'tap'
import background from '../../lib/index'
import { sharedPool } from '../../lib/threads/shared-pool'
import { threads, threadTask, type ThreadsOptions } from '../../lib/threads/threads'
import { ThreadCall } from '../../lib/threads/thread-call'
import { ThreadPool } from '../../lib/threads/thread-pool'
import { markSeen, toWorkerFile } from '../../lib/threads/worker-file'
import { StandInContext } from '../../lib/stand-in-context'
import { createApp, listen } from '../helpers/app'
import { isCollected } from '../helpers/gc'
import { latch, until } from '../helpers/latch'
import { createThreadsApp, fixture, isAtWork, letGo, sharedNumbers, watchThreads } from '../helpers/threads'

type Shared = ReturnType<typeof sharedNumbers>

t.setTimeout(600_000)
const block = threadTask<(shared: Shared) => number>(fixture(), { export: 'block' })
const echo = threadTask<(value: object) => object>(fixture(), { export: 'echo' })
const where = threadTask<() => { threadId: number }>(fixture())

// The first: a pool that no application has had.
t.test('what a thread leaves behind without the plugin is a warning of the process', async (t) => {
  await listen(await createApp(t))
  const warned = latch()
  const look = ({ message }: Error): void => { if (message === 'left behind') warned.open() }
  process.on('warning', look)
  t.teardown(() => { process.off('warning', look) })
  const shared = sharedNumbers()
  const pool = sharedPool()
  pool.hold()
  await threadTask<(shared: Shared) => void>(fixture(), { export: 'leave' })(shared)
  letGo(shared)
  await warned
  t.pass('left behind')
  await pool.release()
})

t.test('threads start when they are needed, are as many as they may be, and end with the application', async (t) => {
  const alive = watchThreads(t)
  const app = await createThreadsApp(t, { maxThreads: 2 })
  const looking = alive.size
  const shared = sharedNumbers()
  const runs: background.TaskRun[] = [1, 2, 3, 4].map(() => app.background.addTask(block, shared))
  await isAtWork(shared)
  await until(() => app.background.stats().active === 4)
  letGo(shared)
  for (const run of runs) await run.finished()
  t.ok(new Set(runs.map(({ result }) => result)).size <= 2)
  t.equal(looking, 1, 'one has looked into the file')
  t.ok(alive.size <= 2 && alive.size >= 1)
  await app.close()
  t.equal(alive.size, 0)
})

t.test('an application without thread tasks to look into starts no thread', async (t) => {
  const alive = watchThreads(t)
  const app = await createThreadsApp(t)
  t.equal(alive.size, 0)
  await app.close()
})

t.test('by default there is one thread less than there are cores, and at least one', async (t) => {
  const app = await createThreadsApp(t)
  const count = Math.max(1, availableParallelism() - 1)
  await t.rejects(register({ maxThreads: count + 1 }), { message: `Option "maxThreads": expected ${count}, as the application has it that opened the threads of this process, got ${count + 1}` })
  await app.close()
})

t.test('applications of a process share its threads: the last one ends them', async (t) => {
  const alive = watchThreads(t)
  const first = await createThreadsApp(t, { maxThreads: 1 })
  const second = await createThreadsApp(t, { maxThreads: 1 })
  await createThreadsApp(t)
  const [a, b] = await Promise.all([first, second].map(async (app) => (await app.background.addTask(where).finished()).result?.threadId))
  t.equal(a, b)
  await first.close()
  t.equal((await second.background.addTask(where).finished()).result?.threadId, a)
  t.equal(alive.size, 1)
})

t.test('without the plugin, threads end with the last task at work', async (t) => {
  const alive = watchThreads(t)
  const app = await createApp(t)
  const runs = [app.background.addTask(where), app.background.addTask(where)]
  for (const run of runs) t.match(await run.finished(), { state: 'completed' })
  t.ok(alive.size <= 1)
  await Promise.all([...alive].map(async (worker) => { await new Promise((resolve) => { worker.once('exit', resolve) }) }))
  t.equal(alive.size, 0)
})

t.test('a task that is added late in shutdown has its thread, though the plugin has closed', async (t) => {
  const app = Fastify()
  await app.register(background)
  let late!: background.TaskRun
  // Runs between the two.
  app.addHook('onClose', async () => { late = app.background.addTask(where) })
  await app.register(threads)
  await app.ready()
  await app.close()
  t.match(late, { state: 'completed' })
})

t.test('R6: a thread holds nothing of the task that it was started for', async (t) => {
  const app = await createThreadsApp(t)
  const storage = new AsyncLocalStorage<object>()
  async function start (): Promise<{ store: WeakRef<object>, argument: WeakRef<object> }> {
    const [store, argument] = [{ large: true }, { large: true }]
    const run = storage.run(store, () => app.background.addTask(echo, argument))
    t.match(await run.finished(), { state: 'completed', result: { large: true } })
    return { store: new WeakRef(store), argument: new WeakRef(argument) }
  }
  const { store, argument } = await start()
  t.ok(await isCollected(store))
  t.ok(await isCollected(argument))
})

t.test('at the close of the last application no function has more time to end', async (t) => {
  const alive = watchThreads(t)
  const app = await createThreadsApp(t, { abortTimeout: 600_000 })
  const shared = sharedNumbers()
  const run = app.background.addTask(block, shared)
  await isAtWork(shared)
  t.ok(run.cancel())
  t.equal(alive.size, 1)
  await app.close()
  t.equal(alive.size, 0)
})

t.test('a thread that is at a file while the last application closes is ended with it', async (t) => {
  const alive = watchThreads(t)
  const channel = new BroadcastChannel('endless')
  t.teardown(() => { channel.close() })
  const isAtFile = new Promise((resolve) => { channel.onmessage = resolve })
  threadTask(fixture('endless.mjs'))
  const app = Fastify({ pluginTimeout: 100 })
  await app.register(threads, { abortTimeout: 600_000 })
  await t.rejects(async () => { await app.ready() }, { code: 'FST_ERR_HOOK_TIMEOUT' })
  await isAtFile
  t.equal(alive.size, 1)
  await app.close()
  t.equal(alive.size, 0)
  markSeen(toWorkerFile(fixture('endless.mjs'), 'default'))
})

t.test('a function that is told to end after the plugin has closed has no more time either', async (t) => {
  const alive = watchThreads(t)
  const app = Fastify()
  await app.register(background)
  // Runs between the two.
  app.addHook('onClose', async () => {
    const shared = sharedNumbers()
    const run = app.background.addTask(block, shared)
    await isAtWork(shared)
    run.cancel()
  })
  await app.register(threads, { abortTimeout: 600_000 })
  await app.ready()
  await app.close()
  await until(() => alive.size === 0)
  t.pass('it is ended')
})

t.test('the close of an application does not wait for what is not JavaScript, though its thread cannot be ended', async (t) => {
  const pipe = join(t.testdir(), 'pipe')
  execFileSync('mkfifo', [pipe])
  const alive = watchThreads(t)
  const app = await createThreadsApp(t, { abortTimeout: 0 }, { closeTimeout: 0 })
  const shared = sharedNumbers()
  const run = app.background.addTask(threadTask<(shared: Shared, pipe: string) => void>(fixture(), { export: 'read' }), shared, pipe)
  await isAtWork(shared)
  const end = openSync(pipe, 'w')
  await app.close()
  const left = alive.size
  closeSync(end)
  t.equal(left, 1)
  t.equal(run.state, 'cancelled')
  await until(() => alive.size === 0)
})

t.test('who ends the threads does not wait for those that a later call has started', async (t) => {
  const pool = new ThreadPool({ maxThreads: 1, abortTimeout: 0, maxMemory: undefined }, () => {})
  pool.hold()
  await pool.look(toWorkerFile(fixture(), 'block'), new AbortController().signal)
  const shared = sharedNumbers()
  const released = pool.release()
  const later = pool.run(new ThreadCall(toWorkerFile(fixture(), 'block'), new StandInContext('block'), [shared]))
  await isAtWork(shared)
  await released
  letGo(shared)
  t.type(await later, 'number')
})

t.test('threads that do not start fail their task; what ended them is its cause', async (t) => {
  const reported: Error[] = []
  // Too little to start with, and more than what ends the process.
  const pool = new ThreadPool({ maxThreads: 1, abortTimeout: 0, maxMemory: 4 }, (error) => { reported.push(error) })
  await t.rejects(look(pool), { code: 'FST_ERR_BACKGROUND_THREAD_ENDED', cause: { code: 'ERR_WORKER_OUT_OF_MEMORY' } })
  t.strictSame(reported, [])
})

t.test('a thread that cannot be started fails its task, or has it tried again', async (t) => {
  const app = await createApp(t)
  let refused = 0
  replaceWorker(t, (Worker) => class extends Worker {
    constructor (...args: ConstructorParameters<typeof Worker>) {
      if (refused++ < 3) throw new Error('no more threads')
      super(...args)
    }
  })
  const error = { code: 'FST_ERR_BACKGROUND_THREAD_ENDED', message: 'Background task "work": its thread has ended: no more threads', cause: { message: 'no more threads' } }
  t.match(await app.background.addTask(where).finished(), { state: 'failed', error })
  await t.rejects(where(), error)
  const again = threadTask<typeof where>(fixture(), { retries: 1, backoff: { delay: 0 } })
  t.match(await app.background.addTask(again).finished(), { state: 'completed', attempt: 2 })
})

t.test('a task that is cancelled because no thread starts for it lets go of the pool once', async (t) => {
  const pool = new ThreadPool({ maxThreads: 1, abortTimeout: 0, maxMemory: undefined }, () => {})
  const { Worker } = workerThreads
  replaceWorker(t, () => class { constructor () { throw new Error('no more threads') } } as never)
  pool.hold()
  const cancelling = new AbortController()
  const refused = look(pool, cancelling.signal)
  cancelling.abort()
  await t.rejects(refused, { message: /no more threads/ })
  workerThreads.Worker = Worker
  const alive = watchThreads(t)
  await look(pool)
  t.equal(alive.size, 1, 'it is still held')
  await pool.release()
  t.equal(alive.size, 0)
})

t.test('a thread that hangs before it is ready is ended with its task, and the next has its place', async (t) => {
  const pool = new ThreadPool({ maxThreads: 1, abortTimeout: 0, maxMemory: undefined }, () => {})
  const { Worker } = workerThreads
  replaceWorker(t, (Worker) => class extends Worker { constructor () { super('for (;;);', { eval: true }) } })
  const cancelling = new AbortController()
  const hanging = look(pool, cancelling.signal)
  cancelling.abort(new Error('enough'))
  await t.rejects(hanging, { message: 'enough' })
  workerThreads.Worker = Worker
  await look(pool)
})

t.test('whatever becomes of a call, the next one has its thread', async (t) => {
  const pool = new ThreadPool({ maxThreads: 1, abortTimeout: 0, maxMemory: undefined }, () => {})
  const call = new ThreadCall(toWorkerFile(fixture(), 'block'), new StandInContext('block'), undefined)
  await t.rejects(pool.run(Object.assign(call, { start: async () => { throw new Error('broken') } })), { cause: { message: 'broken' } })
  await look(pool)
})

async function register (options: ThreadsOptions): Promise<void> {
  await Fastify().register(threads, options)
}

async function look (pool: ThreadPool, signal = new AbortController().signal): Promise<void> {
  await pool.look(toWorkerFile(fixture(), 'block'), signal)
}

/** Has piscina start threads in another way, to the end of the test at most. */
function replaceWorker (t: { teardown: (fn: () => void) => void }, create: (original: typeof Worker) => typeof Worker): void {
  const { Worker: original } = workerThreads
  t.teardown(() => { workerThreads.Worker = original })
  workerThreads.Worker = create(original)
}
