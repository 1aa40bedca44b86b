import type { Outcome } from '../../lib/engines/engine'
import { aTask, COMPLETED, eventually, inState, openEngine, TestWorker, type TestEngine } from '../helpers/bullmq'
import { latch, until } from '../helpers/latch'
import { needsRedis, startRedis } from '../helpers/redis'
import { unhandledRejections } from '../helpers/unhandled'

const test = needsRedis()
const TIMEOUT = 300
const BACK = 'bullmq: the server is back'
const TROUBLE = 'bullmq: the server is in trouble; tasks wait until it is back'

function said ({ lines }: TestEngine): string[] {
  return lines.map(({ msg }) => msg)
}

test('BullMQ, Redis away', async (t) => {
  const unhandled = unhandledRejections(t)

  await t.test('down at open', async (t) => {
    const redis = await startRedis(t)
    await redis.kill()
    const own = await openEngine(t, redis.url, { timeout: TIMEOUT })
    const { engine } = own
    const worker = new TestWorker()
    await engine.work(worker)
    const before = performance.now()
    await t.rejects(engine.store([aTask()]))
    console.log('took', performance.now() - before)
    await t.rejects(engine.find('x'))
    await t.rejects(engine.counts())
    await redis.start()
    await until(() => said(own).includes(BACK))
    const task = aTask()
    await engine.store([task])
    await inState(engine, task.id, 'completed')
    console.log(own.lines.map((l) => [l.msg, (l.err as any)?.message]), worker.deliveries.length)
  })

  await t.test('killed and back', async (t) => {
    const redis = await startRedis(t)
    const own = await openEngine(t, redis.url, { timeout: TIMEOUT })
    const { engine } = own
    const started = latch()
    const end = latch<Outcome>()
    const worker = new TestWorker(() => { started.open(); return end })
    await engine.work(worker)
    const task = aTask()
    await engine.store([task])
    await started
    await redis.kill()
    const before = performance.now()
    await t.rejects(engine.store([aTask()]))
    console.log('took', performance.now() - before)
    end.open(COMPLETED)
    await until(() => said(own).includes(TROUBLE))
    await redis.start()
    const b2 = performance.now()
    await until(() => said(own).includes(BACK))
    console.log('back took', performance.now() - b2)
    console.log(own.lines.map((l) => [l.msg, (l.err as any)?.message]), worker.deliveries.length)
    await inState(engine, task.id, 'completed')
    console.log(worker.deliveries.length)
  })

  await t.test('frozen', async (t) => {
    const redis = await startRedis(t)
    const own = await openEngine(t, redis.url, { timeout: TIMEOUT })
    const { engine } = own
    const started = latch()
    const end = latch<Outcome>()
    const worker = new TestWorker(() => { started.open(); return end })
    await engine.work(worker)
    const task = aTask()
    await engine.store([task])
    await started
    redis.freeze()
    const before = performance.now()
    await t.rejects(engine.store([aTask()]))
    console.log('took', performance.now() - before)
    end.open(COMPLETED)
    await until(() => said(own).includes(TROUBLE))
    await new Promise(resolve => setTimeout(resolve, 3000))
    redis.thaw()
    await until(() => said(own).includes(BACK))
    console.log(own.lines.map((l) => [l.msg, (l.err as any)?.message]), worker.deliveries.length)
    await eventually(() => engine.counts(), ({ completed }) => completed >= 1)
    console.log(await engine.counts(), worker.deliveries.length)
  })

  for (const how of ['dead', 'frozen'] as const) {
    for (const work of [true, false]) {
      await t.test(`close with a server that is ${how}, ${work ? 'at work' : 'idle'}`, async (t) => {
        const redis = await startRedis(t)
        const own = await openEngine(t, redis.url, { timeout: TIMEOUT })
        const { engine } = own
        const started = latch()
        const end = latch<Outcome>()
        await engine.work(new TestWorker(() => { started.open(); return end }))
        engine.watch(() => {})
        if (work) {
          await engine.store([aTask()])
          await started
        }
        if (how === 'dead') await redis.kill()
        else redis.freeze()
        end.open(COMPLETED)
        const before = performance.now()
        await engine.stop()
        await engine.close()
        console.log('close took', performance.now() - before)
        console.log(own.lines.map((l) => [l.msg, (l.err as any)?.message]))
      })
    }
  }

  await t.test('wrong password', async (t) => {
    const redis = await startRedis(t, ['--requirepass', 'secret'])
    await t.rejects(openEngine(t, redis.url), { code: 'FST_ERR_BACKGROUND_INVALID_OPTION' })
    await openEngine(t, redis.url).catch((e) => console.log(e.message))
    await openEngine(t, redis.url.replace('127', ':wrong@127')).catch((e) => console.log(e.message))
    const x = await openEngine(t, redis.url.replace('127', ':secret@127'))
    console.log(x.lines)
  })
  t.strictSame(unhandled, [])
})
