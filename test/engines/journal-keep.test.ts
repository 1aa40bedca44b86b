// How many of the failed and cancelled tasks are kept.
import t from 'tap'
import type { Engine, StoredTask } from '../../lib/engines/engine'
import { journalStore, withLevel } from '../helpers/journal'
import { until } from '../helpers/latch'
import { aTask, Bench, COMPLETED, idsOf, inState, isCompleted, put, someTasks, type Hand } from './suite-support'

t.test('R3: beyond keepFailed, those that have failed first go, also from the disk', async (t) => {
  const store = journalStore(t)
  const bench = new Bench(t, store)
  const { engine, hand } = await bench.start({ concurrency: 1, keepFailed: 2 } as object)
  const tasks = someTasks(4)
  await put(engine, ...tasks)
  await fail(hand, 0, 2)
  ;(await hand.job(2)).end({ state: 'cancelled', reason: 'no longer needed' })
  await fail(hand, 3, 1)
  await inState(engine, tasks[3].id, 'failed')

  t.strictSame(await idsIn(engine), idsOf([tasks[3], tasks[2]]))
  t.match(await engine.counts(), { failed: 1, cancelled: 1 })
  await bench.shutDown(engine)
  t.equal((await withLevel(store.location(), async (level) => await level.keys().all())).length, 4)
})

t.test('R3: with keepFailed 0, none is kept', async (t) => {
  const { engine, hand } = await new Bench(t, journalStore(t)).start({ keepFailed: 0 } as object)
  const task = aTask()
  await put(engine, task)
  await fail(hand, 0, 1)
  await isCompleted(engine, task.id)

  t.strictSame(await idsIn(engine), [])
  t.equal((await engine.counts()).failed, 0)
  t.equal(await engine.retry(task.id), false)
})

t.test('R3: a journal that is opened with less of keepFailed forgets those that have failed first', async (t) => {
  const store = journalStore(t)
  const bench = new Bench(t, store)
  const { engine, hand } = await bench.start({ concurrency: 5 })
  const tasks = someTasks(5)
  await put(engine, ...tasks)
  await hand.job(4)
  // Not in the order of storing. Times are of a millisecond.
  for (const i of [4, 0, 3, 1, 2]) {
    hand.jobs[i].end({ state: 'failed', error: new Error('broken') })
    const { finishedAt } = await inState(engine, tasks[i].id, 'failed')
    await until(() => Date.now() > finishedAt!)
  }
  await bench.shutDown(engine)
  const next = await bench.open({ keepFailed: 2 } as object)
  t.strictSame(await idsIn(next), idsOf([tasks[2], tasks[1]]))
  await bench.shutDown(next)

  t.equal((await withLevel(store.location(), async (level) => await level.keys().all())).length, 4)
})

t.test('R3: a task that is tried again is none of those that are kept, and may fail once more', async (t) => {
  const { engine, hand } = await new Bench(t, journalStore(t)).start({ concurrency: 1, keepFailed: 1 } as object)
  const [again, other] = someTasks(2)
  await put(engine, again)
  await fail(hand, 0, 1)
  await inState(engine, again.id, 'failed')
  t.equal(await engine.retry(again.id), true)
  const job = await hand.job(1)
  await put(engine, other)
  job.end({ state: 'failed', error: new Error('broken again'), retryIn: 0 })
  // What comes again stands in line behind what is there.
  t.equal((await hand.job(2)).task.id, other.id)
  await fail(hand, 2, 1)
  t.match(await hand.job(3), { task: { id: again.id }, attempt: 2, restarts: 0 })
  t.match(await engine.find(other.id), { state: 'failed' })
  await fail(hand, 3, 1)
  await inState(engine, again.id, 'failed')

  t.strictSame(await idsIn(engine), [again.id])
})

t.test('what has completed is not kept, nor its records', async (t) => {
  const store = journalStore(t)
  const bench = new Bench(t, store)
  const { engine, hand } = await bench.start()
  const task = aTask()
  await put(engine, task)
  ;(await hand.job(0)).end(COMPLETED)
  await isCompleted(engine, task.id)
  await bench.shutDown(engine)

  t.strictSame(await withLevel(store.location(), async (level) => await level.keys().all()), [])
})

async function fail (hand: Hand, first: number, count: number): Promise<void> {
  for (let i = first; i < first + count; i++) (await hand.job(i)).end({ state: 'failed', error: new Error('broken') })
}

async function idsIn (engine: Engine): Promise<string[]> {
  const { tasks } = await engine.list({ limit: 100 })
  return idsOf(tasks.map(({ task }: { task: StoredTask }) => task))
}
