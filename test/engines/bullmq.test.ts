import { inspect } from 'node:util'
import { Queue } from 'bullmq'
import Fastify from 'fastify'
import { Redis } from 'ioredis'
import t from 'tap'
import type { Outcome, StoredChange } from '../../lib/engines/engine'
import { bullmq } from '../../lib/engines/bullmq'
import background from '../../lib/index'
import { aTask, COMPLETED, eventually, inState, openEngine, TestWorker } from '../helpers/bullmq'
import { latch, until } from '../helpers/latch'
import { needsRedis, startRedis } from '../helpers/redis'

// Real servers, on a machine that may have other things to do.
t.setTimeout(180_000)

const test = needsRedis()

test('BullMQ on Redis', async (t) => {
  const redis = await startRedis(t)
  const client = new Redis(redis.port)
  t.teardown(() => client.disconnect())

  await t.test('a stored task is delivered as it was, and completes with its result', async (t) => {
    const { engine } = await openEngine(t, redis.url)
    const task = aTask({ args: [1, 'two', { three: null }], reqId: 'req-1', meta: { traceparent: 'x' }, retries: 2, queuedAt: 1_700_000_000_000 })
    await engine.store([task])
    const worker = new TestWorker(({ task }) => ({ state: 'completed', result: { args: task.args } }))
    await engine.work(worker)
    const found = await inState(engine, task.id, 'completed')

    t.strictSame(found.task, task)
    t.match(found, { attempt: 1, result: { args: task.args }, startedAt: Number, finishedAt: Number })
    t.equal(found.error, undefined)
  })

  await t.test('a result that is not JSON is not kept, and the task has completed', async (t) => {
    const { engine, lines } = await openEngine(t, redis.url)
    const task = aTask()
    await engine.work(new TestWorker(() => ({ state: 'completed', result: 1n })))
    await engine.store([task])
    const found = await inState(engine, task.id, 'completed')

    t.equal(found.result, null)
    t.ok(lines.some(({ msg, taskId }) => msg.includes('is no JSON') && taskId === task.id))
  })

  await t.test('R3: BullMQ does not take the names and messages of a task\'s errors for its own', async (t) => {
    const { engine } = await openEngine(t, redis.url)
    const errors = [new Error('bullmq:rateLimitExceeded'), Object.assign(new Error('x'), { name: 'WaitingError' }),
      Object.assign(new Error('x'), { name: 'DelayedError' })]
    const tasks = errors.map((_, i) => aTask({ args: [i] }))
    const worker = new TestWorker(({ task }) => ({ state: 'failed', error: errors[task.args[0] as number] }))
    await engine.work(worker)
    await engine.store(tasks)
    for (const [i, { id }] of tasks.entries()) {
      const { error } = await inState(engine, id, 'failed')
      t.match(error, { name: errors[i].name, message: errors[i].message, stack: errors[i].stack })
    }
    t.equal(worker.deliveries.length, errors.length)
  })

  await t.test('D5: what is handed back costs no attempt, even a second one', async (t) => {
    const { engine, queue } = await openEngine(t, redis.url)
    const outcomes: Outcome[] = [{ state: 'failed', error: 'x', retryIn: 0 }, { state: 'returned', delay: 0 },
      { state: 'returned', delay: 20 }, COMPLETED]
    const worker = new TestWorker(() => outcomes.shift() as Outcome)
    const task = aTask()
    await engine.work(worker)
    await engine.store([task])
    await inState(engine, task.id, 'completed')

    t.strictSame(worker.deliveries.map(({ attempt, restarts }) => [attempt, restarts]), [[1, 0], [2, 0], [2, 0], [2, 0]])
    t.match(await client.hgetall(`bull:${queue}:${task.id}`), { atm: '2' }, 'the failed one and the completed one')
  })

  await t.test('D4: jobs that are no tasks fail at once, each with a line in the log, and the worker goes on', async (t) => {
    const { engine, lines, queue: name } = await openEngine(t, redis.url)
    const queue = new Queue(name, { connection: { port: redis.port } })
    t.teardown(() => queue.close())
    const broken: unknown[] = [undefined, null, 5, [], {}, { args: {} }, { args: [], cancelled: 1 }, { args: [], round: 'x' },
      { args: [], stalls: -1 }, { args: [], made: 1 }]
    for (const data of broken) await queue.add('task', data)
    await queue.add('', { args: [] })
    await queue.add('task', { args: [] }, { attempts: 'many' as never })
    await queue.add('task', { args: [] }, { jobId: 'unreadable' })
    await client.hset(`bull:${name}:unreadable`, 'data', 'not JSON')
    await queue.add('task', { args: ['hand-written'] }, { jobId: 'fine', attempts: 3 })
    const worker = new TestWorker()
    await engine.work(worker)
    await eventually(() => engine.counts(), ({ failed, completed }) => failed === broken.length + 3 && completed === 1)

    t.match(worker.deliveries, [{ task: { id: 'fine', args: ['hand-written'], meta: {}, retries: 2 } }])
    t.equal(lines.filter(({ level, msg }) => level === 50 && msg.includes('is not a task')).length, broken.length + 3)
    t.match(await engine.find('unreadable'), { state: 'failed', attempt: 0, task: { args: [] }, error: { message: 'not a task: its data is null' } })
    t.equal((await engine.list({ state: 'failed', limit: 50 })).tasks.length, broken.length + 3)
    t.equal(await engine.retry('unreadable'), true)
    await eventually(() => engine.find('unreadable'), (found) => found?.state === 'failed')
  })

  await t.test('D4: a request id and meta that another producer has put there are dropped, and the task runs', async (t) => {
    const { engine, queue: name } = await openEngine(t, redis.url)
    const queue = new Queue(name, { connection: { port: redis.port } })
    t.teardown(() => queue.close())
    for (const odd of [{ reqId: 1 }, { meta: [] }, { meta: { a: 1 } }, { reqId: 'kept', meta: { a: 'kept' } }]) await queue.add('task', { args: [], ...odd })
    const worker = new TestWorker()
    await engine.work(worker)
    await eventually(() => engine.counts(), ({ completed }) => completed === 4)

    t.strictSame(worker.deliveries.map(({ task: { reqId, meta } }) => [reqId, meta]),
      [[undefined, {}], [undefined, {}], [undefined, {}], ['kept', { a: 'kept' }]])
  })

  await t.test('R5: a task is cancelled by any process, and may be retried and cancelled again', async (t) => {
    const { engine, queue } = await openEngine(t, redis.url)
    const other = await openEngine(t, redis.url, { queue })
    const worker = new TestWorker(() => latch<Outcome>())
    const task = aTask({ retries: 3 })
    await other.engine.work(worker)
    await engine.store([task])
    for (const round of [1, 2]) {
      await until(() => worker.deliveries.length === round)
      t.equal(await engine.cancel(task.id, `reason ${round}`), true)
      const found = await inState(engine, task.id, 'cancelled')
      await eventually(() => engine.counts(), ({ cancelled, failed }) => cancelled === 1 && failed === 0)
      t.match(found, { error: { name: 'AbortError', message: `reason ${round}` } })
      t.equal(await engine.cancel(task.id, 'again'), false)
      t.equal(await engine.retry(task.id), true)
    }
    await until(() => worker.deliveries.length === 3)
    t.strictSame(worker.deliveries.map(({ attempt, restarts }) => [attempt, restarts]), [[1, 0], [1, 0], [1, 0]])
    t.equal(await engine.retry(task.id), false, 'it is at work')
    await engine.cancel(task.id, 'the end')
  })

  await t.test('a failed task that several retry at once is delivered once more, and none of the calls fails', async (t) => {
    const { engine, lines, queue } = await openEngine(t, redis.url)
    const other = await openEngine(t, redis.url, { queue })
    const task = aTask()
    const worker: TestWorker = new TestWorker(({ attempt }) => worker.deliveries.length === 1 ? { state: 'failed', error: attempt } : latch<Outcome>())
    await engine.work(worker)
    await engine.store([task])
    await inState(engine, task.id, 'failed')
    const answers = await Promise.all([engine, other.engine, engine, other.engine].map((each) => each.retry(task.id)))
    await until(() => worker.deliveries.length === 2)

    t.ok(answers.includes(true))
    t.strictSame([...lines, ...other.lines].filter(({ level }) => level > 30), [])
    await engine.cancel(task.id, 'the end')
  })

  await t.test('R5: a task that waits is cancelled at once, and never runs', async (t) => {
    const { engine } = await openEngine(t, redis.url)
    const [first, cancelled, revived] = [aTask(), aTask(), aTask()]
    await engine.store([first, cancelled, revived])
    t.equal(await engine.cancel(cancelled.id, 'never'), true)
    t.equal(await engine.cancel(cancelled.id, 'again'), false)
    t.match(await engine.find(cancelled.id), { state: 'cancelled', attempt: 0, error: { message: 'never' } })
    t.match(await engine.list({ state: 'cancelled', limit: 5 }), { tasks: [{ task: { id: cancelled.id } }] })
    await engine.cancel(revived.id, 'no')
    t.equal(await engine.retry(revived.id), true)
    const worker = new TestWorker()
    await engine.work(worker)
    await inState(engine, first.id, 'completed')
    await inState(engine, revived.id, 'completed')
    await eventually(() => engine.counts(), ({ cancelled }) => cancelled === 1)

    t.strictSame(new Set(worker.deliveries.map(({ task }) => task.id)), new Set([first.id, revived.id]))
    t.match(await engine.find(cancelled.id), { state: 'cancelled', attempt: 0, error: { message: 'never' } })
  })

  await t.test('R5: a task between two attempts is cancelled, and makes no other', async (t) => {
    const { engine } = await openEngine(t, redis.url)
    const worker = new TestWorker(() => ({ state: 'failed', error: 'x', retryIn: 3_600_000 }))
    const task = aTask()
    await engine.work(worker)
    await engine.store([task])
    await inState(engine, task.id, 'retrying')
    t.equal(await engine.cancel(task.id, 'enough'), true)
    await eventually(() => engine.counts(), ({ cancelled }) => cancelled === 1)

    t.match(await engine.find(task.id), { state: 'cancelled', attempt: 1 })
    t.equal(worker.deliveries.length, 1)
  })

  await t.test('D1: tasks are stored together in one transaction, all or none', async (t) => {
    const { engine } = await openEngine(t, redis.url)
    const transactions = async (): Promise<number> =>
      Number(/cmdstat_multi:calls=(\d+)/.exec(await client.info('commandstats'))?.[1] ?? 0)
    const before = await transactions()
    const tasks = [aTask(), aTask(), aTask()]
    await engine.store(tasks)
    t.equal(await transactions(), before + 1)
    await client.config('SET', 'maxmemory', '1mb')
    const refused = [aTask(), aTask()]
    await t.rejects(engine.store(refused))
    await client.config('SET', 'maxmemory', '0')
    for (const { id } of refused) t.equal(await engine.find(id), undefined)
    t.match(await engine.counts(), { queued: 3 })
  })

  await t.test('neither a password nor the arguments of a task are in what is logged and thrown', async (t) => {
    const { engine, lines } = await openEngine(t, redis.url)
    await client.config('SET', 'maxmemory', '1mb')
    const thrown: unknown[] = []
    for (const tasks of [[aTask({ args: ['4111-1111'] })], [aTask(), aTask({ args: ['4111-1111'] })]]) {
      await engine.store(tasks).catch((error) => thrown.push(error))
    }
    await client.config('SET', 'maxmemory', '0')
    t.match(thrown, [/OOM/, /OOM|EXECABORT/])
    t.notMatch(inspect([thrown, lines], { depth: null }), '4111-1111')

    const locked = await startRedis(t, ['--requirepass', 'right', '--appendonly', 'yes'])
    const { engine: own, lines: said } = await openEngine(t, locked.url.replace('//', '//:right@'))
    const admin = new Redis({ port: locked.port, password: 'right' })
    t.teardown(() => admin.disconnect())
    await admin.config('SET', 'requirepass', 'other')
    await admin.call('CLIENT', 'KILL', 'TYPE', 'normal')
    await until(() => said.some(({ err }) => /WRONGPASS/.test(String((err as Error | undefined)?.message))))
    t.notMatch(inspect(said, { depth: null }), /'right'/)
    await own.close()
  })

  await t.test('ids that belong to the queue itself are those of no task', async (t) => {
    const { engine } = await openEngine(t, redis.url)
    await engine.store([aTask()])
    for (const id of ['', 'meta', 'wait', 'events', 'a:lock', 'unknown']) {
      t.equal(await engine.find(id), undefined)
      t.equal(await engine.cancel(id, 'x'), false)
      t.equal(await engine.retry(id), false)
    }
  })

  await t.test('progress is kept, at most so often that the server is not flooded, and the last of it in any case', async (t) => {
    const { engine } = await openEngine(t, redis.url)
    const task = aTask()
    const seen: StoredChange[] = []
    const unwatch = engine.watch((change) => seen.push(change))
    await engine.work(new TestWorker(({ progress }) => {
      for (let i = 0; i <= 1_000; i++) progress({ value: i / 1_000, message: `${i}` })
      return COMPLETED
    }))
    await engine.store([task])
    await until(() => seen.some(({ state }) => state === 'completed'))
    unwatch()

    t.strictSame(seen.filter(({ progress }) => progress !== undefined).map(({ progress }) => progress?.message), ['0', '1000'])
    t.match((await engine.find(task.id))?.progress, { value: 1, message: '1000' })
  })

  await t.test('a cursor that is none is refused', async (t) => {
    const { engine, lines } = await openEngine(t, redis.url)
    for (const cursor of ['', 'x', '1.2', '1.2.3.4.5.-6']) {
      await t.rejects(engine.list({ limit: 1, cursor }), { code: 'FST_ERR_BACKGROUND_INVALID_OPTION' })
    }
    for (const id of [5, '\0']) t.equal(await engine.find(id as string), undefined)
    t.strictSame(lines, [], 'it is no trouble')
  })

  await t.test('as many finished tasks are kept as there shall be', async (t) => {
    const { engine } = await openEngine(t, redis.url, { keepCompleted: { count: 2 }, keepFailed: { count: 0 }, concurrency: 1 })
    const worker = new TestWorker(({ task }) => task.name === 'bad' ? { state: 'failed', error: 'x' } : COMPLETED)
    const tasks = [aTask({ name: 'bad' }), aTask(), aTask(), aTask(), aTask()]
    await engine.work(worker)
    await engine.store(tasks)
    // Not of one of them: of those that completed within a millisecond, it is not said which are kept.
    await eventually(() => engine.counts(), ({ queued, active }) => queued + active === 0)

    t.match(await engine.counts(), { completed: 2, failed: 0 })
    t.equal(await engine.find(tasks[0].id), undefined)
  })

  await t.test('keys start with the prefix, and finished tasks may be kept by their age alone', async (t) => {
    const { engine, queue } = await openEngine(t, redis.url, {
      prefix: 'mine', keepCompleted: { count: Infinity, age: 60_000 }, keepFailed: { age: 1_000 }
    })
    await engine.work(new TestWorker())
    const task = aTask()
    await engine.store([task])
    await inState(engine, task.id, 'completed')

    t.equal(await client.exists(`mine:${queue}:${task.id}`), 1)

    const { engine: keeping } = await openEngine(t, redis.url, {
      keepCompleted: { count: Infinity, age: Infinity }, keepFailed: { age: Infinity }
    })
    await keeping.work(new TestWorker())
    await keeping.store([task])
    await inState(keeping, task.id, 'completed')
  })

  await t.test('an engine is opened once, by one application: another one does not get it, and does it no harm', async (t) => {
    const { engine } = await openEngine(t, redis.url)
    const other = Fastify()
    await t.rejects(Promise.resolve(other.register(background, { engine })), { message: /opened before: one application, one bullmq\(\)/ })
    await other.close().catch(() => {})
    const task = aTask()
    await engine.store([task])

    t.match(await engine.find(task.id), { task })
  })

  await t.test('an engine that is not open says so, and can be closed all the same', async (t) => {
    const engine = bullmq({ queue: 'unopened', connection: redis.url })
    const calls: Array<() => Promise<unknown>> = [
      () => engine.store([aTask()]), () => engine.work(new TestWorker()), () => engine.find('x'), () => engine.list({ limit: 1 }),
      () => engine.counts(), () => engine.retry('x'), () => engine.cancel('x', 'reason')
    ]
    for (const call of calls) await t.rejects(call(), { message: /it has not been opened/ })
    t.throws(() => engine.watch(() => {}), { message: /it has not been opened/ })
    engine.release(['x'])
    await engine.stop()
    await engine.close()
    t.teardown(() => engine.close())
    await engine.open(Fastify().log)
    t.match(await engine.counts(), { active: 0 })
  })

  await t.test('L2: a closed engine begins nothing, neither work nor a watch', async (t) => {
    const { engine } = await openEngine(t, redis.url)
    const clients = async (): Promise<number> => String(await client.call('CLIENT', 'LIST')).trim().split('\n').length
    await engine.close()
    const before = await clients()
    await t.rejects(engine.work(new TestWorker()), /closed/)
    engine.watch(() => {})()
    engine.watch(() => {})
    t.ok(await clients() <= before)
  })

  await t.test('D1: what the server refuses to store is an error', async (t) => {
    const { engine, queue } = await openEngine(t, redis.url)
    await client.set(`bull:${queue}:wait`, 'no list')
    await t.rejects(engine.store([aTask()]), /WRONGTYPE/)
  })

  await t.test('changes are told from the first on after watch, of a queue that is empty', async (t) => {
    const { engine } = await openEngine(t, redis.url)
    const task = aTask()
    const told = new Promise((resolve) => { t.teardown(engine.watch(resolve)) })
    await engine.store([task])

    t.match(await told, { id: task.id, state: 'queued' })
  })

  await t.test('a job that goes while the list is read is not in it, and one without meta is a task', async (t) => {
    const { engine, queue } = await openEngine(t, redis.url)
    const [gone, task] = [aTask(), aTask()]
    await engine.store([gone, task])
    await client.hset(`bull:${queue}:${task.id}`, 'data', '{"args":[1]}')
    await client.del(`bull:${queue}:${gone.id}`)

    t.match((await engine.list({ limit: 10 })).tasks, [{ task: { id: task.id, args: [1], meta: {} } }])
  })

  await t.test('a job that BullMQ cannot read keeps nobody from seeing the others', async (t) => {
    const { engine, lines, queue } = await openEngine(t, redis.url)
    const [task, ...unreadable] = [aTask(), aTask(), aTask()]
    await engine.store([task, ...unreadable])
    await client.hset(`bull:${queue}:${unreadable[0].id}`, 'opts', 'null')
    await client.hset(`bull:${queue}:${unreadable[1].id}`, 'progress', 'no JSON')

    t.strictSame((await engine.list({ limit: 10 })).tasks.map(({ task }) => task.id), [task.id])
    t.equal(await engine.find(unreadable[0].id), undefined)
    t.strictSame(lines, [])
    await client.set(`bull:${queue}:no-job`, 'no hash')
    await t.rejects(engine.find('no-job'), /WRONGTYPE/)
  })

  await t.test('it warns of a Redis that may lose tasks', async (t) => {
    const volatile = await startRedis(t, ['--maxmemory-policy', 'allkeys-lru'])
    const { lines } = await openEngine(t, volatile.url)
    t.match(lines, [{ level: 40, msg: /appendonly no/ }, { level: 40, msg: /allkeys-lru/ }])
    t.strictSame((await openEngine(t, redis.url)).lines, [])
  })
})
