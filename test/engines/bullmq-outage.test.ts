import type { Outcome } from '../../lib/engines/engine'
import t from 'tap'
import { aTask, COMPLETED, inState, openEngine, TestWorker, type TestEngine } from '../helpers/bullmq'
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

function said ({ lines }: TestEngine, text: string): number {
  return lines.filter(({ msg }) => msg === text).length
}

/** A worker that has a task at work until it is told. */
async function atWork ({ engine }: TestEngine): Promise<{ worker: TestWorker, id: string, end: (outcome: Outcome) => void }> {
  const started = latch()
  const end = latch<Outcome>()
  const worker = new TestWorker(() => {
    started.open()
    return end
  })
  await engine.work(worker)
  const task = aTask()
  await engine.store([task])
  await started
  return { worker, id: task.id, end: end.open }
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
    await until(() => said(own, BACK) === 1)
    const task = aTask()
    await engine.store([task])
    await inState(engine, task.id, 'completed')

    t.equal(said(own, TROUBLE), 1)
    t.equal(await engine.find(refused.id), undefined, 'what was refused is not done later')
  })

  await t.test('D7: a server that is killed in mid-run: the task runs once, its outcome is written when it is back', async (t) => {
    const redis = await startRedis(t)
    const own = await openEngine(t, redis.url, { ...options, lockDuration: 5_000 })
    const { worker, id, end } = await atWork(own)
    await redis.kill()
    await t.rejects(own.engine.store([aTask()]))
    end(COMPLETED)
    await redis.start()
    await until(() => said(own, BACK) === 1)
    await inState(own.engine, id, 'completed')

    t.equal(worker.deliveries.length, 1)
    t.equal(said(own, TROUBLE), 1)
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
      await until(() => said(own, BACK) === 1)
      if (when === 'after') end(COMPLETED)
      await inState(own.engine, id, 'completed')

      t.equal(worker.deliveries.filter(({ task }) => task.id === id).length, 1)
      t.equal(said(own, TROUBLE), 1)
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
    await engine.store([first])
    await inState(engine, first.id, 'completed')
    proxy.swallow()
    await t.rejects(engine.store([aTask()]), { code: 'ETIMEDOUT' })
    await until(() => said(own, BACK) === 1)
    await engine.store([last])
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
    await t.rejects(openEngine(t, redis.url), { code: 'FST_ERR_BACKGROUND_INVALID_OPTION', message: /NOAUTH/ })
    await t.rejects(openEngine(t, url('wrong')), { code: 'FST_ERR_BACKGROUND_INVALID_OPTION', message: /WRONGPASS/ })
    t.strictSame((await openEngine(t, url('secret'))).lines, [])
  })

  t.strictSame(unhandled, [])
})
