// What is synced when: a store before it resolves, together with all that wait for it; nothing else.
import t from 'tap'
import { journalStore } from '../helpers/journal'
import { latch } from '../helpers/latch'
import { failing, failingOnce, watchLevel } from '../helpers/level'
import { aTask, Bench, COMPLETED, idsOf, inState, isCompleted, someTasks } from './suite-support'

t.test('D1: the tasks of a store are one batch, and synced', async (t) => {
  const level = watchLevel(t)
  const engine = await new Bench(t, journalStore(t)).open()
  await engine.store(someTasks(5))

  t.strictSame(level.batches, [{ size: 10, sync: true }])
})

t.test('D1: stores at the same time share a sync', async (t) => {
  const level = watchLevel(t)
  const engine = await new Bench(t, journalStore(t)).open()
  await Promise.all(someTasks(100).map((task) => engine.store([task])))

  t.strictSame(level.batches, [{ size: 200, sync: true }])
})

t.test('D1: stores that come while another is written share the next sync, and each in its order', async (t) => {
  const level = watchLevel(t)
  const engine = await new Bench(t, journalStore(t)).open()
  const [begun, written] = [latch(), latch()]
  level.before.batch = () => {
    begun.open()
    return written
  }
  const tasks = someTasks(50)
  const resolved: string[] = []
  const store = async (i: number): Promise<void> => {
    await engine.store([tasks[i]])
    resolved.push(tasks[i].id)
  }
  const stores = [store(0)]
  await begun
  for (let i = 1; i < tasks.length; i++) stores.push(store(i))
  t.strictSame(resolved, [])
  written.open()
  await Promise.all(stores)

  t.strictSame(level.batches, [{ size: 2, sync: true }, { size: 98, sync: true }])
  t.strictSame(resolved, idsOf(tasks))
  const { tasks: listed } = await engine.list({ limit: 50 })
  t.strictSame(idsOf(listed.map(({ task }) => task)).reverse(), idsOf(tasks))
})

t.test('D1: what is too large for one batch goes in several, in its order', async (t) => {
  const level = watchLevel(t)
  const bench = new Bench(t, journalStore(t))
  const engine = await bench.open()
  const tasks = someTasks(8, { args: ['x'.repeat(300_000)] })
  await Promise.all(tasks.map((task) => engine.store([task])))
  t.strictSame(level.batches, [{ size: 8, sync: true }, { size: 8, sync: true }])
  await bench.shutDown(engine)

  const { tasks: listed } = await (await bench.open()).list({ limit: 8 })
  t.strictSame(idsOf(listed.map(({ task }) => task)).reverse(), idsOf(tasks))
})

t.test('D1: a task is not there before it is on the disk', async (t) => {
  const level = watchLevel(t)
  const { engine, hand } = await new Bench(t, journalStore(t)).start()
  const written = latch()
  level.before.batch = () => written
  const task = aTask()
  const storing = engine.store([task])
  engine.release([task.id])
  t.equal(await engine.find(task.id), undefined)
  t.equal(await engine.cancel(task.id, 'too early'), false)
  t.strictSame((await engine.list({ limit: 1 })).tasks, [])
  t.equal((await engine.counts()).queued, 0)
  written.open()
  await storing
  engine.release([task.id])

  t.equal((await hand.job(0)).task.id, task.id)
  t.equal(hand.jobs.length, 1)
})

t.test('D6: a start is written before the task starts, its end behind it, and neither is synced', async (t) => {
  const level = watchLevel(t)
  const { engine, hand } = await new Bench(t, journalStore(t)).start()
  const task = aTask()
  await engine.store([task])
  engine.release([task.id])
  const job = await hand.job(0)
  t.strictSame(level.batches, [{ size: 2, sync: true }, { size: 1, sync: false }])
  job.end(COMPLETED)
  await isCompleted(engine, task.id)
  await engine.close()

  t.strictSame(level.batches.slice(2), [{ size: 2, sync: false }])
})

t.test('D6: tasks that start together are written together', async (t) => {
  const level = watchLevel(t)
  const { engine, hand } = await new Bench(t, journalStore(t)).start({ concurrency: Infinity })
  const tasks = someTasks(100)
  await engine.store(tasks)
  engine.release(idsOf(tasks))
  await hand.job(99)

  t.strictSame(level.batches.slice(1), [{ size: 64, sync: false }, { size: 36, sync: false }])
})

t.test('D1: a store that fails leaves nothing of it, now or later, and can be repeated', async (t) => {
  const level = watchLevel(t)
  const bench = new Bench(t, journalStore(t))
  const engine = await bench.open()
  const tasks = someTasks(3)
  level.before.batch = failing('no room')
  await t.rejects(engine.store(tasks), { message: 'no room' })
  t.strictSame((await engine.list({ limit: 1 })).tasks, [])
  level.before.batch = undefined
  await engine.store(tasks.slice(0, 1))
  await bench.shutDown(engine)
  const next = await bench.open()

  t.strictSame((await next.list({ limit: 5 })).tasks.map(({ task }) => task.id), [tasks[0].id])
})

for (const last of ['store', 'close']) {
  t.test(`D1: a store that fails though it was written is taken back, before anything else is done: ${last}`, async (t) => {
    const level = watchLevel(t)
    const bench = new Bench(t, journalStore(t))
    const engine = await bench.open()
    const [before, lost, after] = someTasks(3)
    await engine.store([before])
    level.afterBatch = failing('a sync that fails')
    await t.rejects(engine.store([lost]), { message: 'a sync that fails' })
    level.afterBatch = undefined
    if (last === 'store') await engine.store([after])
    await bench.shutDown(engine)
    const { tasks } = await (await bench.open()).list({ limit: 5 })

    t.strictSame(tasks.map(({ task }) => task.id), idsOf(last === 'store' ? [after, before] : [before]))
  })
}

t.test('D1: a write that fails once is repeated: the failure may be an old one', async (t) => {
  const level = watchLevel(t)
  const engine = await new Bench(t, journalStore(t)).open()
  level.before.batch = failingOnce(level.before, 'batch', 'an old one')
  const task = aTask()
  await engine.store([task])

  await inState(engine, task.id, 'queued')
})

t.test('D2: a task that another call has failed to store is stored by the call that waited for that', async (t) => {
  const level = watchLevel(t)
  const engine = await new Bench(t, journalStore(t)).open()
  const [shared, other] = someTasks(2)
  level.before.batch = failing('no room')
  const first = engine.store([shared])
  const waiting = engine.store([shared, other])
  await t.rejects(first, { message: 'no room' })
  level.before.batch = undefined
  await waiting

  t.strictSame(level.batches.at(-1), { size: 4, sync: true })
  t.strictSame((await engine.list({ limit: 5 })).tasks.map(({ task }) => task.id), [other.id, shared.id])
})
