import t, { type Test } from 'tap'
import { bullmq } from '../../lib/engines/bullmq'
import type { Outcome, StoredTask } from '../../lib/engines/engine'
import { createApp } from '../helpers/app'
import { aTask, COMPLETED, eventually, inState, openEngine, TestWorker, type TestEngine } from '../helpers/bullmq'
import { latch, until } from '../helpers/latch'
import { startProxy } from '../helpers/proxy'
import { needsRedis, startRedis } from '../helpers/redis'
import { unhandledRejections } from '../helpers/unhandled'

// Real servers, on a machine that may have other things to do.
t.setTimeout(180_000)

const test = needsRedis()
const options = { timeout: 600 }
const TROUBLE = 'bullmq: the server is in trouble; tasks wait until it is back'
const BACK = 'bullmq: the server is back'

/** Waits until it has said last that the server is back, and asks that it has said so as often as that it was away. */
async function isBack (t: Test, { lines }: TestEngine): Promise<void> {
  const said = (): string[] => lines.map(({ msg }) => msg).filter((msg) => msg === TROUBLE || msg === BACK)
  await until(() => said().at(-1) === BACK)
  t.ok(said().every((msg, i) => msg === (i % 2 === 0 ? TROUBLE : BACK)), 'once each')
}

/** Stores a task with a server that is there: the machine may have other things to do for longer than the time-out. */
async function store ({ engine }: TestEngine, task = aTask()): Promise<StoredTask> {
  await eventually(() => engine.store([task]), () => true)
  return task
}

/** Opens engines until one of them does not: a server that has not answered in time is no reason to fail. */
async function refusal (t: Test, connection: string): Promise<unknown> {
  for (;;) {
    try {
      await openEngine(t, connection)
    } catch (error) {
      return error
    }
  }
}

/** A worker that has a task at work until it is told. */
async function atWork (own: TestEngine): Promise<{ worker: TestWorker, id: string, end: (outcome: Outcome) => void }> {
  const started = latch()
  const end = latch<Outcome>()
  const worker = new TestWorker(() => {
    started.open()
    return end
  })
  await own.engine.work(worker)
  const { id } = await store(own)
  await started
  return { worker, id, end: end.open }
}

test('BullMQ while Redis is away', async (t) => {
  const unhandled = unhandledRejections(t)

  await t.test('D7: it opens without a server, refuses, and works when there is one', async (t) => {
    const redis = await startRedis(t)
    await redis.kill()
    const own = await openEngine(t, redis.url, options)
    const { engine } = own
    const worker = new TestWorker()
    await engine.work(worker)
    const refused = aTask()
    await t.rejects(engine.store([refused]), { code: 'ETIMEDOUT' })
    await t.rejects(engine.find(refused.id))
    await t.rejects(engine.counts())
    await redis.start()
    await isBack(t, own)
    const { id } = await store(own)
    await inState(engine, id, 'completed')

    t.equal(await eventually(() => engine.find(refused.id), () => true), undefined, 'what was refused is not done later')
  })

  await t.test('D7: an application starts without a server, however long the time-out: Fastify does not wait for it', async (t) => {
    const app = await createApp(t, { engine: bullmq({ queue: 'queue', connection: 'redis://127.0.0.1:1', timeout: 60_000 }) })
    await t.resolves(async () => { await app.ready() })
  })

  await t.test('D7: a server that is killed in mid-run: the task runs once, its outcome is written when it is back', async (t) => {
    const redis = await startRedis(t)
    const own = await openEngine(t, redis.url, { ...options, lockDuration: 5_000 })
    const { worker, id, end } = await atWork(own)
    await redis.kill()
    await t.rejects(own.engine.store([aTask()]))
    end(COMPLETED)
    await redis.start()
    await isBack(t, own)
    await inState(own.engine, id, 'completed')

    t.equal(worker.deliveries.length, 1)
  })

  for (const when of ['before', 'after'] as const) {
    await t.test(`D7: a server that is frozen until it takes the worker for dead, the run over ${when} that: it ran once`, async (t) => {
      const redis = await startRedis(t)
      const own = await openEngine(t, redis.url, { ...options, lockDuration: 500 })
      const { worker, id, end } = await atWork(own)
      redis.freeze()
      if (when === 'before') end(COMPLETED)
      await t.rejects(own.engine.counts(), { code: 'ETIMEDOUT' })
      await t.rejects(own.engine.counts(), { code: 'ETIMEDOUT' })
      await t.rejects(own.engine.counts(), { code: 'ETIMEDOUT' })
      redis.thaw()
      await isBack(t, own)
      if (when === 'after') end(COMPLETED)
      await inState(own.engine, id, 'completed')

      t.equal(worker.deliveries.filter(({ task }) => task.id === id).length, 1)
    })
  }

  for (const how of ['dead', 'frozen'] as const) {
    for (const busy of [true, false]) {
      await t.test(`D7: close does not wait for a server that is ${how}, ${busy ? 'with an outcome to write' : 'idle'}`, async (t) => {
        const redis = await startRedis(t)
        const own = await openEngine(t, redis.url, options)
        const { engine } = own
        engine.watch(() => {})
        const { id, end } = await atWork(own)
        if (!busy) {
          end(COMPLETED)
          await inState(engine, id, 'completed')
        }
        if (how === 'dead') await redis.kill()
        else redis.freeze()
        await engine.stop()
        end(COMPLETED)
        await engine.close()

        t.equal(own.lines.filter(({ msg }) => msg.includes('could not be written')).length, busy ? 1 : 0)
      })
    }
  }

  await t.test('D7: connections that are lost without a word are given up, those that wait for tasks too', async (t) => {
    const redis = await startRedis(t)
    const proxy = await startProxy(t, redis.port)
    const own = await openEngine(t, `redis://127.0.0.1:${proxy.port}`, options)
    const { engine } = own
    const [first, last] = [aTask(), aTask()]
    const told = latch()
    engine.watch(({ id, state }) => { if (id === last.id && state === 'completed') told.open() })
    await engine.work(new TestWorker())
    await store(own, first)
    await inState(engine, first.id, 'completed')
    proxy.swallow()
    await t.rejects(engine.store([aTask()]), { code: 'ETIMEDOUT' })
    await isBack(t, own)
    await store(own, last)
    await inState(engine, last.id, 'completed')
    await told
  })

  await t.test('D7: an outcome that was written without an answer is not said to be lost', async (t) => {
    const redis = await startRedis(t)
    const proxy = await startProxy(t, redis.port)
    const own = await openEngine(t, `redis://127.0.0.1:${proxy.port}`, { ...options, lockDuration: 60_000 })
    const other = await openEngine(t, redis.url, { queue: own.queue })
    const { id, end } = await atWork(own)
    redis.freeze()
    end(COMPLETED)
    // It is on its way, and its answer will not come through.
    await t.rejects(own.engine.counts())
    proxy.swallow()
    redis.thaw()
    await inState(other.engine, id, 'completed')
    proxy.reset()
    await until(() => own.lines.some(({ msg }) => msg.includes('the hold on a task was lost')))
    await own.engine.close()

    t.notOk(own.lines.some(({ msg }) => msg.includes('could not be written')))
  })

  await t.test('wrong credentials fail at open', async (t) => {
    const redis = await startRedis(t, ['--requirepass', 'secret', '--appendonly', 'yes'])
    const url = (password: string): string => redis.url.replace('//', `//:${password}@`)
    t.match(await refusal(t, redis.url), { code: 'FST_ERR_BACKGROUND_INVALID_OPTION', message: /NOAUTH/ })
    t.match(await refusal(t, url('wrong')), { code: 'FST_ERR_BACKGROUND_INVALID_OPTION', message: /WRONGPASS/ })
    await t.resolves(openEngine(t, url('secret')))
  })

  t.strictSame(unhandled, [])
})
