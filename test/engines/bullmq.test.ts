import { inspect } from 'node:util'
import type { Outcome } from '../../lib/engines/engine'
import { aTask, COMPLETED, eventually, inState, openEngine, TestWorker } from '../helpers/bullmq'
import { latch } from '../helpers/latch'
import { needsRedis, startRedis } from '../helpers/redis'

const test = needsRedis()

test('BullMQ on Redis', async (t) => {
  const redis = await startRedis(t)

  await t.test('a stored task is delivered as it was, and completes with its result', async (t) => {
    const { engine } = await openEngine(t, redis.url)
    const task = aTask({ args: [1, 'two', { three: null }], reqId: 'req-1', meta: { traceparent: 'x' }, retries: 2, queuedAt: 1_700_000_000_000 })
    await engine.store([task])
    t.match(await engine.find(task.id), { task, state: 'queued', attempt: 0, error: undefined, startedAt: undefined })
    const worker = new TestWorker(({ task }) => ({ state: 'completed', result: { args: task.args } }))
    await engine.work(worker)
    const found = await inState(engine, task.id, 'completed')
    t.strictSame(found.task, task)
    t.match(found, { attempt: 1, result: { args: task.args }, error: undefined, startedAt: Number, finishedAt: Number })
    t.match(worker.deliveries, [{ task, attempt: 1, restarts: 0 }])
  })

  await t.test('a failed attempt is made again when the plugin says, and what failed last is kept', async (t) => {
    const { engine } = await openEngine(t, redis.url)
    const error = Object.assign(new TypeError('broken'), { code: 'EBROKEN' })
    const outcomes: Outcome[] = [
      { state: 'failed', error: 'first', retryIn: 0 }, { state: 'failed', error, retryIn: 200 }, { state: 'failed', error }
    ]
    const worker = new TestWorker(() => outcomes.shift() as Outcome)
    const task = aTask({ retries: 0 })
    await engine.store([task])
    await engine.work(worker)
    const retrying = await eventually(() => engine.find(task.id), (found) => found?.state === 'retrying' && found.attempt === 2)
    console.log(inspect(retrying))
    const failed = await inState(engine, task.id, 'failed')
    console.log(inspect(failed))
    t.match(worker.deliveries.map(({ attempt, restarts }) => [attempt, restarts]), [[1, 0], [2, 0], [3, 0]])
  })

  await t.test('cancel active elsewhere', async (t) => {
    const { engine, queue } = await openEngine(t, redis.url)
    const other = await openEngine(t, redis.url, { queue })
    const started = latch()
    const worker = new TestWorker(() => { started.open(); return latch<Outcome>() })
    const task = aTask()
    await other.engine.work(worker)
    await engine.store([task])
    await started
    t.equal(await engine.cancel(task.id, 'no more'), true)
    console.log(inspect(await inState(engine, task.id, 'cancelled')))
    console.log(await eventually(() => engine.counts(), ({ cancelled }) => cancelled === 1))
    console.log(await engine.list({ limit: 10 }))
    t.equal(await engine.retry(task.id), true)
    await eventually(async () => worker.deliveries.length, (n) => n === 2)
    t.equal(await engine.cancel(task.id, 'no more 2'), true)
    await inState(engine, task.id, 'cancelled')
  })

  await t.test('cancel waiting', async (t) => {
    const { engine, lines } = await openEngine(t, redis.url)
    const task = aTask()
    await engine.store([task, aTask()])
    t.equal(await engine.cancel(task.id, 'never'), true)
    console.log(inspect(await inState(engine, task.id, 'cancelled')), await engine.counts())
    await engine.work(new TestWorker(() => COMPLETED))
    console.log(await eventually(() => engine.counts(), ({ cancelled, completed }) => cancelled + completed === 2))
    console.log(inspect(await engine.find(task.id)), lines.map(l => l.msg))
  })
})
