import t from 'tap'
import { faultyDisk, journalStore } from './journal-support'
import { aTask, Bench, COMPLETED, idsOf, inState, put, someTasks } from './suite-support'
import { turn } from '../helpers/latch'

t.test('D1: stores that come together share one batch, and one sync', async (t) => {
  const engine = await new Bench(t, journalStore(t)).open()
  const disk = faultyDisk(t)
  await Promise.all(someTasks(100).map(async (task) => await engine.store([task])))

  t.equal(disk.batches, 1)
  t.equal((await engine.counts()).queued, 100)
})

t.test('D1: what comes while a batch is written gathers in the next', async (t) => {
  const engine = await new Bench(t, journalStore(t)).open()
  const disk = faultyDisk(t)
  const first = engine.store([aTask()])
  await turn()
  const others = someTasks(50).map(async (task) => await engine.store([task]))
  await first
  await Promise.all(others)

  t.equal(disk.batches, 2)
})

t.test('D1: a batch does not grow without end', async (t) => {
  const engine = await new Bench(t, journalStore(t)).open()
  const disk = faultyDisk(t)
  const large = someTasks(6, { args: ['x'.repeat(700_000)] })
  await Promise.all(large.map(async (task) => await engine.store([task])))

  t.equal(disk.batches, 3)
  t.strictSame(idsOf((await engine.list({ limit: 10 })).tasks.map(({ task }) => task)).reverse(), idsOf(large))
})

t.test('D1: a task that cannot be written as JSON is rejected alone, with those that it came with', async (t) => {
  const { engine, hand } = await new Bench(t, journalStore(t)).start()
  const [good, companion] = someTasks(2)
  const bad = aTask({ args: [1n] })
  const [one, two] = await Promise.allSettled([engine.store([companion, bad]), engine.store([good])])
  engine.release(idsOf([good, companion, bad]))
  t.equal((await hand.job(0)).task.id, good.id)

  t.match([one, two], [{ status: 'rejected', reason: TypeError }, { status: 'fulfilled' }])
  t.match(await engine.counts(), { queued: 0, active: 1 })
})

t.test('D1: all that shares a failed batch is rejected, and nothing of it is there, now or later', async (t) => {
  for (const batch of ['fails', 'fails when it is written'] as const) {
    await t.test(batch, async (t) => {
      const bench = new Bench(t, journalStore(t))
      const engine = await bench.open()
      const disk = faultyDisk(t)
      const [before, after] = [aTask(), aTask()]
      const lost = someTasks(3)
      await engine.store([before])
      disk.batch = batch
      const outcomes = await Promise.allSettled(lost.map(async (task) => await engine.store([task])))
      t.match(outcomes, lost.map(() => ({ status: 'rejected', reason: { code: 'LEVEL_IO_ERROR' } })))
      t.equal(await engine.find(lost[0].id), undefined)
      disk.batch = 'works'
      await engine.store([after])
      await bench.crash(engine)
      const next = await bench.open()

      t.strictSame(idsOf((await next.list({ limit: 10 })).tasks.map(({ task }) => task)), idsOf([after, before]))
    })
  }
})

t.test('D7: what was rejected stays away, also where the disk fails again before it works', async (t) => {
  const bench = new Bench(t, journalStore(t))
  const engine = await bench.open()
  const disk = faultyDisk(t)
  const [lost, never, last] = someTasks(3)
  disk.batch = 'fails when it is written'
  await t.rejects(engine.store([lost]))
  disk.batch = 'fails'
  await t.rejects(engine.store([never]))
  disk.batch = 'works'
  await engine.store([last])
  await bench.crash(engine)

  t.strictSame(idsOf((await (await bench.open()).list({ limit: 10 })).tasks.map(({ task }) => task)), [last.id])
})

t.test('D7: a rejected task can be stored again, by its id, and comes once', async (t) => {
  const { engine, hand } = await new Bench(t, journalStore(t)).start({ concurrency: 1 })
  const disk = faultyDisk(t)
  const [task, last] = someTasks(2)
  disk.batch = 'fails when it is written'
  await t.rejects(engine.store([task]))
  disk.batch = 'works'
  await put(engine, task, last)
  ;(await hand.job(0)).end(COMPLETED)

  t.equal((await hand.job(1)).task.id, last.id)
})

t.test('D2: a store that comes while the same task is being stored shares its fate, or stores it itself', async (t) => {
  const engine = await new Bench(t, journalStore(t)).open()
  const disk = faultyDisk(t)
  const [task, other] = someTasks(2)
  disk.batch = 'fails'
  const first = engine.store([task]).finally(() => { disk.batch = 'works' })
  const second = engine.store([task, other])
  const third = engine.store([task])
  await t.rejects(first)
  await Promise.all([second, third])

  t.strictSame(idsOf((await engine.list({ limit: 10 })).tasks.map(({ task }) => task)), [other.id, task.id])
})

t.test('D7: a database that would not forget an old failure is opened anew, and the store that met it is kept', async (t) => {
  const bench = new Bench(t, journalStore(t))
  const { engine, hand } = await bench.start()
  const disk = faultyDisk(t)
  const [failing, task] = someTasks(2)
  await put(engine, failing)
  const job = await hand.job(0)
  disk.failures = 1
  await engine.store([task])
  job.end({ state: 'failed', error: new Error('broken') })
  await inState(engine, failing.id, 'failed')
  await bench.crash(engine)

  t.match(await (await bench.open()).counts(), { queued: 1, failed: 1 })
})
