import { AsyncLocalStorage } from 'node:async_hooks'
import { pathToFileURL } from 'node:url'
import Fastify from 'fastify'
import t from 'tap'
import background, { BackgroundTask, BackgroundTasks, errorCodes, RetryAfterError, UnrecoverableError } from '../../lib/index'
import { threadTask } from '../../lib/threads/threads'
import { createApp, memoryLogger } from '../helpers/app'
import { journalStore } from '../helpers/journal'
import { watch } from '../helpers/task-events'
import { createThreadsApp, fixture, isAtWork, keepThreads, letGo, listen, sharedNumbers } from '../helpers/threads'

interface Where { isMainThread: boolean, threadId: number, args: unknown[] }
type Run = background.TaskRun

// Nobody is hurried.
keepThreads(t, { maxThreads: 1, abortTimeout: 600_000 })

const where = threadTask<(...args: unknown[]) => Where>(fixture())
const untilAborted = threadTask<(shared: Int32Array) => Promise<void>>(fixture(), { export: 'untilAborted' })
const fail = threadTask<(kind: string) => void>(fixture(), { export: 'fail' })

t.test('a task runs in a thread, with its arguments', async (t) => {
  const app = await createThreadsApp(t)
  const run = await app.background.addTask(where, 1, { deep: new Map([[1, new Date(0)]]) }).finished()
  t.equal(run.state, 'completed')
  t.match(run.result, { isMainThread: false, threadId: Number })
  t.strictSame(run.result?.args, [1, { deep: new Map([[1, new Date(0)]]) }])
})

t.test('a file can be given by its path, its URL, or the text of its URL', async (t) => {
  for (const file of [fixture(), pathToFileURL(fixture()), pathToFileURL(fixture()).href]) {
    t.equal(await threadTask<(a: number, b: number) => number>(file, { export: 'add' })(1, 2), 3)
  }
})

t.test('a task goes by the name that it is given, else by the export, else by the file', async (t) => {
  t.equal(threadTask(fixture(), { name: 'named', export: 'add' }).name, 'named')
  t.equal(threadTask(fixture(), { export: 'add' }).name, 'add')
  t.equal(where.name, 'work')
})

t.test('a buffer is a buffer on the other side', async (t) => {
  const toBuffer = threadTask<(text: string) => Buffer>(fixture(), { export: 'toBuffer' })
  t.strictSame((await where(Buffer.from('a'), 1, Buffer.from('b'))).args, ['buffer a', 1, 'buffer b'])
  t.strictSame(await toBuffer('text'), Buffer.from('text'))
})

t.test('of the memory that a buffer is a part of, only its own goes along; shared memory is shared', async (t) => {
  const memoryOf = threadTask<(buffer: Buffer) => object>(fixture(), { export: 'memoryOf' })
  const large = Buffer.alloc(1_000_000, 'a')
  t.strictSame(await memoryOf(large.subarray(10, 13)), { bytes: 3, isShared: false, text: 'aaa' })
  t.strictSame(await memoryOf(large.subarray(5, 5)), { bytes: 0, isShared: false, text: '' })
  t.strictSame(await memoryOf(Buffer.from(new SharedArrayBuffer(8), 2, 2)), { bytes: 8, isShared: true, text: '\0\0' })
  const toBuffer = threadTask<(text: string) => Buffer>(fixture(), { export: 'toBuffer' })
  t.equal((await toBuffer('text')).buffer.byteLength, 4)
})

t.test('the context of a task is in the thread', async (t) => {
  const context = threadTask<() => object>(fixture(), { export: 'context' })
  const app = await createThreadsApp(t)
  const run = app.background.addTask(context)
  const { id } = run
  t.strictSame((await run.finished()).result, { id, name: 'context', attempt: 1, aborted: false })
})

t.test('getTaskContext() finds it there', async (t) => {
  t.equal(await threadTask<() => boolean>(fixture('policy.cjs'), { export: 'found' })(), true)
})

t.test('progress comes from the thread', async (t) => {
  const app = await createThreadsApp(t)
  const seen: unknown[] = []
  watch(t, 'progress', ({ run, progress }) => {
    seen.push(progress)
    run.cancel('enough')
  })
  await app.background.addTask(untilAborted, sharedNumbers()).finished()
  t.strictSame(seen, [{ value: 0.5, message: 'at work' }])
})

t.test('R4: what comes from a thread comes in the async context of its own task', async (t) => {
  const storage = new AsyncLocalStorage<string>()
  const app = await createApp(t)
  const shared = sharedNumbers()
  const seen: Array<string | undefined> = []
  watch(t, 'progress', ({ run }) => {
    seen.push(storage.getStore())
    run.cancel()
  })
  const block = threadTask<(shared: Int32Array) => number>(fixture(), { export: 'block' })
  const first = storage.run('first', () => app.background.addTask(block, shared))
  const second = storage.run('second', () => app.background.addTask(untilAborted, sharedNumbers()))
  await isAtWork(shared)
  letGo(shared)
  t.match(await first.finished(), { state: 'completed' })
  await second.finished()
  t.strictSame(seen, ['second'])
})

t.test('the signal of a task that is cancelled is aborted in its thread, which may end in its own time', async (t) => {
  const { logger, line } = listen('told to end')
  const app = await createApp(t, {}, { logger })
  const shared = sharedNumbers()
  watch(t, 'progress', ({ run }) => { run.cancel(Object.assign(new Error('enough'), { code: 'E_ENOUGH' })) })
  const run = app.background.addTask(untilAborted, shared)
  t.match(await run.finished(), { state: 'cancelled', error: { message: 'enough' }, progress: { value: 0.5, message: 'at work' } })
  t.match(await line, { reason: { name: 'Error', code: 'E_ENOUGH', message: 'enough' }, taskId: run.id })
  await where()
  t.equal(shared[0], 1, 'it has come to its end')
  t.match(run.progress, { value: 0.5 })
})

t.test('a task without a reason for its cancel finds an AbortError', async (t) => {
  const { logger, line } = listen('told to end')
  const app = await createApp(t, {}, { logger })
  watch(t, 'progress', ({ run }) => { run.cancel() })
  await app.background.addTask(untilAborted, sharedNumbers()).finished()
  t.match(await line, { reason: { name: 'AbortError' } })
})

t.test('lines of the log come from the thread, of the levels that are on', async (t) => {
  const { logger, lines } = memoryLogger()
  const app = await createThreadsApp(t, {}, {}, { logger })
  const run = await app.background.addTask(threadTask(fixture(), { export: 'log' })).finished()
  t.equal(run.state, 'completed')
  const ours = lines.filter(({ taskId }) => taskId === run.id)
  t.match(ours, [
    { level: 30, msg: 'plain', task: 'log' },
    { level: 40, msg: 'in words', part: 1, deep: true, fn: '[Function: fn]', err: { type: 'TypeError', message: 'shown' } },
    { level: 50, msg: 'coded', err: { type: 'RangeError', code: 'E_CODED' } },
    { level: 50, msg: /^Readable/ }
  ])
  t.equal(ours.length, 4)
})

t.test('what a logger throws is the task\'s', async (t) => {
  const app = await createThreadsApp(t, {}, {}, { logger: { level: 'info', serializers: { err () { throw new Error('no such line') } }, stream: { write () {} } } })
  const run = await app.background.addTask(threadTask(fixture(), { export: 'log' })).finished()
  t.match(run, { state: 'failed', error: { message: 'no such line' } })
})

t.test('a task that fails has its error: class, message, code, cause, and the stack of the thread', async (t) => {
  const app = await createThreadsApp(t)
  const { state, error } = await app.background.addTask(fail, 'coded').finished()
  t.equal(state, 'failed')
  t.type(error, TypeError)
  t.match(error, { name: 'TypeError', message: 'coded', code: 'E_CODED', cause: { message: 'deeper' } })
  t.match((error as Error).stack, /^TypeError: coded\n +at ThreadContext\.fail \(.*work\.mjs:\d+:\d+\)/)
  t.notOk('fn' in (error as object))
})

t.test('what a task throws may be no error', async (t) => {
  t.strictSame(await fail('value').catch((error) => error), { plain: true })
  t.equal(await fail('undefined').catch((error) => error), undefined)
})

t.test('errors of this package are such on this side', async (t) => {
  const wrongProgress = threadTask(fixture(), { export: 'wrongProgress' })
  const error = await wrongProgress().catch((error) => error)
  t.type(error, errorCodes.FST_ERR_BACKGROUND_INVALID_OPTION)
  t.match(error, { code: 'FST_ERR_BACKGROUND_INVALID_OPTION', message: /"progress": expected a number from 0 to 1/ })
})

t.test('the policy holds: retries, and the errors that decide on them', async (t) => {
  const app = await createThreadsApp(t)
  const policy = { retries: 2, backoff: { delay: 1 } }
  const finished = async (task: background.TaskDefinition<[]>): Promise<Run> => await app.background.addTask(task).finished()
  t.match(await finished(threadTask(fixture(), { export: 'fail', ...policy }) as background.TaskDefinition<[]>), { state: 'failed', attempt: 3 })
  const gone = await finished(threadTask<() => void>(fixture('policy.cjs'), { export: 'gone', ...policy }))
  t.match(gone, { state: 'failed', attempt: 1, error: { message: 'gone' } })
  t.type(gone.error, UnrecoverableError)
  const busy = await finished(threadTask<() => void>(fixture('policy.cjs'), { export: 'busy', retries: 1, backoff: { delay: 2 ** 30 } }))
  t.match(busy, { state: 'failed', attempt: 2, error: { message: 'busy', delay: 0 } })
  t.type(busy.error, RetryAfterError)
})

t.test('a CommonJS file exports by names of all kinds, as a whole, and as TypeScript has it', async (t) => {
  t.equal(await threadTask(fixture('policy.cjs'), { export: 'not a name' })(), 'named')
  t.equal(await threadTask(fixture('whole.cjs'))(), 'whole')
  t.equal(await threadTask(fixture('compiled.cjs'))(), 'compiled')
})

t.test('a task goes on a reply, on a route and into a group', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(background)
  const runs: Run[] = []
  app.get('/', { background: [new BackgroundTask(where, 'route'), () => new BackgroundTask(where, 'returned')] }, async (request, reply) => {
    runs.push(reply.background.addTask(where, 'reply'))
    runs.push(...reply.background.addTasks(new BackgroundTasks([], { concurrency: 2 }).addTask(where, 'group').addTask(where, 'group')))
    return 'ok'
  })
  t.equal((await app.inject('/')).statusCode, 200)
  await app.background.idle()
  t.match(app.background.stats(), { accepted: 6, completed: 6 })
  t.strictSame(runs.map(({ result }) => (result as Where).args), [['reply'], ['group'], ['group']])
})

t.test('a durable task runs in a thread, also after its process has gone', async (t) => {
  const store = journalStore(t)
  const durable = threadTask<(shared: string) => Where>(fixture(), { durable: true, name: 'durable' })
  const start = async (): Promise<ReturnType<typeof Fastify>> => {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(background, { engine: store.engine(), tasks: [durable], closeTimeout: 0 })
    await app.ready()
    return app
  }
  const app = await start()
  const run = await app.background.addTask(durable, 'here').finished()
  t.match(run, { state: 'completed', result: { isMainThread: false, args: ['here'] } })
  const second = app.background.addTask(durable, 'later')
  await second.stored()
  await app.close()
  const other = await start()
  const finished = new Promise((resolve) => { watch(t, 'asyncEnd', ({ run }) => { resolve(run) }) })
  t.match(await finished, { id: second.id, state: 'completed', result: { isMainThread: false, args: ['later'] } })
  t.equal(other.background.stats().completed, 1)
})

t.test('arguments of a durable task are JSON, in a thread too', async (t) => {
  const durable = threadTask(fixture(), { durable: true })
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(background, { engine: journalStore(t).engine(), tasks: [durable] })
  t.throws(() => app.background.addTask(durable, new Map()), { code: 'FST_ERR_BACKGROUND_ARGS_NOT_SERIALIZABLE' })
})

t.test('called directly, it runs in a thread, without policy', async (t) => {
  const run = await threadTask<(...args: unknown[]) => Where>(fixture(), { retries: 3 })('direct')
  t.match(run, { isMainThread: false, args: ['direct'] })
  const failing = threadTask<(kind: string) => void>(fixture(), { export: 'fail', retries: 1_000_000, backoff: { delay: 0 } })
  await t.rejects(failing('coded'), { message: 'coded' })
})
