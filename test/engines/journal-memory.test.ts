import t from 'tap'
import { isCollected } from '../helpers/gc'
import { journalStore, recordsAt } from './journal-support'
import { aTask, Bench, COMPLETED, idsOf, inState, isCompleted, put, SILENT, someTasks } from './suite-support'

t.test('R6: the arguments of a task that waits are not in memory', async (t) => {
  const engine = await new Bench(t, journalStore(t)).open()
  const { ref, id } = await (async () => {
    const task = aTask({ args: [{ large: true }] })
    await put(engine, task)
    return { ref: new WeakRef(task.args[0] as object), id: task.id }
  })()

  t.ok(await isCollected(ref))
  t.match(await engine.find(id), { task: { args: [{ large: true }] } })
})

t.test('R6: nothing of a completed task is left, neither in memory nor in the files', async (t) => {
  const store = journalStore(t)
  const { engine, hand } = await new Bench(t, store).start()
  const ref = await (async () => {
    const task = aTask({ args: [{ large: true }] })
    await put(engine, task)
    const job = await hand.job(0)
    hand.jobs.length = 0
    job.end(COMPLETED)
    await isCompleted(engine, task.id)
    return new WeakRef(job.task.args[0] as object)
  })()

  t.ok(await isCollected(ref))
  t.strictSame(await engine.counts(), { queued: 0, active: 0, retrying: 0, completed: 0, failed: 0, cancelled: 0 })
  t.strictSame((await engine.list({ limit: 10 })).tasks, [])
  await engine.close()
  t.strictSame(await recordsAt(store.location()), {})
})

t.test('of failed and cancelled tasks, as many are kept as was said, and the first that ended go first', async (t) => {
  const store = journalStore(t)
  const engine = store.engine({ keepFailed: 3, concurrency: Infinity })
  await engine.open(SILENT)
  const hand = await new Bench(t, store).work(engine)
  const tasks = someTasks(6)
  await put(engine, ...tasks)
  await hand.job(5)
  for (const i of [5, 1, 0, 4, 2]) {
    hand.jobs[i].end(i % 2 === 0 ? { state: 'failed', error: 'broken' } : { state: 'cancelled', reason: 'no longer needed' })
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  const kept = [tasks[4], tasks[2], tasks[0]]
  t.strictSame(idsOf((await engine.list({ limit: 10, state: 'failed' })).tasks.map(({ task }) => task)), idsOf(kept))
  t.strictSame(await engine.counts(), { queued: 0, active: 1, retrying: 0, completed: 0, failed: 3, cancelled: 0 })
  t.equal(await engine.find(tasks[5].id), undefined)
  t.equal(await engine.retry(tasks[1].id), false)
  hand.jobs[3].end(COMPLETED)
  await engine.close()
  t.equal(Object.keys(await recordsAt(store.location())).length, 6)

  // The order of their ends outlives the process: 0, 4, 2.
  const next = store.engine({ keepFailed: 2 })
  await next.open(SILENT)
  t.strictSame(idsOf((await next.list({ limit: 10 })).tasks.map(({ task }) => task)), idsOf([tasks[4], tasks[2]]))
  await next.close()
  t.equal(Object.keys(await recordsAt(store.location())).length, 4)
})

t.test('a task that is tried again is not counted among those that are kept', async (t) => {
  const store = journalStore(t)
  const engine = store.engine({ keepFailed: 2 })
  await engine.open(SILENT)
  const hand = await new Bench(t, store).work(engine)
  t.teardown(() => engine.close())
  const [again, ...others] = someTasks(3)
  await put(engine, again, ...others)
  ;(await hand.job(2)).end({ state: 'failed', error: 'broken' })
  hand.jobs[0].end({ state: 'failed', error: 'broken' })
  await inState(engine, again.id, 'failed')
  await engine.retry(again.id)
  hand.jobs[1].end({ state: 'failed', error: 'broken' })
  await inState(engine, others[0].id, 'failed')
  t.match(await engine.counts(), { failed: 2, active: 1 })
  ;(await hand.job(3)).end(COMPLETED)
})

t.test('with keepFailed: 0, nothing is kept', async (t) => {
  const store = journalStore(t)
  const engine = store.engine({ keepFailed: 0 })
  await engine.open(SILENT)
  const hand = await new Bench(t, store).work(engine)
  const [failed, cancelled, waiting] = someTasks(3)
  await engine.store([waiting])
  await put(engine, failed, cancelled)
  ;(await hand.job(1)).end({ state: 'cancelled', reason: 'no longer needed' })
  hand.jobs[0].end({ state: 'failed', error: 'broken' })
  t.equal(await engine.cancel(waiting.id, 'no longer needed'), true)
  t.strictSame(await engine.counts(), { queued: 0, active: 0, retrying: 0, completed: 0, failed: 0, cancelled: 0 })
  await engine.close()

  t.strictSame(await recordsAt(store.location()), {})
})

t.test('pages of a list end where there is no more', async (t) => {
  const engine = await new Bench(t, journalStore(t)).open()
  await engine.store(someTasks(4))

  const first = await engine.list({ limit: 2 })
  const second = await engine.list({ limit: 2, cursor: first.cursor })
  t.type(first.cursor, 'string')
  t.equal(second.tasks.length, 2)
  t.equal(second.cursor, undefined)
})
