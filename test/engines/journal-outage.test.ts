import { renameSync, rmSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import type { Engine } from '../../lib/engines/engine'
import { faultyDisk, journalStore, linesLogger, timersNow, type Disk, type JournalStore, type Line } from './journal-support'
import { aTask, Bench, COMPLETED, idsOf, inState, put, someTasks, type Hand } from './suite-support'
import { turn, until } from '../helpers/latch'

t.test('D7: a task whose start cannot be written does not start before it can, and then as if nothing had been', async (t) => {
  const { engine, hand, disk, lines } = await start(t, { concurrency: 1 })
  const [first, second, later] = someTasks(3)
  await engine.store([first, second, later])
  disk.batch = 'fails'
  engine.release(idsOf([first, second]))
  await until(() => lines.length === 1)
  engine.release([later.id])
  await turn()
  t.equal(hand.jobs.length, 0)
  t.match(await engine.counts(), { queued: 3, active: 0 })
  t.match(await engine.find(first.id), { state: 'queued', attempt: 0, startedAt: undefined })
  disk.batch = 'works'
  for (const [i, { id }] of [first, second, later].entries()) {
    const job = await hand.job(i)
    t.match(job, { task: { id }, attempt: 1, restarts: 0 })
    job.end(COMPLETED)
  }

  t.match(lines, [{ level: 'error', err: { code: 'LEVEL_IO_ERROR' }, msg: /out of order/ }, { level: 'info', msg: 'the journal works again' }])
  t.equal(lines.length, 2)
})

t.test('D7: what became of a task is written when that is possible again, however often it fails', async (t) => {
  const { bench, engine, hand, disk, lines } = await start(t)
  const [completed, failed, retrying, waiting] = someTasks(4)
  await put(engine, completed, failed, retrying)
  const jobs = [await hand.job(0), await hand.job(1), await hand.job(2)]
  disk.batch = 'fails'
  jobs[0].end(COMPLETED)
  jobs[1].end({ state: 'failed', error: new Error('broken') })
  jobs[2].end({ state: 'failed', error: new Error('once'), retryIn: 3_600_000 })
  await until(() => lines.length === 1)
  t.match(await engine.find(failed.id), { state: 'failed', error: { message: 'broken' } })
  t.match(await engine.find(retrying.id), { state: 'retrying', error: { message: 'once' } })
  // Two attempts to write them, of which the first fails.
  disk.batch = 'works'
  disk.failures = 2
  await until(() => lines.length === 2)
  await put(engine, waiting)
  t.equal((await hand.job(3)).task.id, waiting.id)
  await bench.crash(engine)
  const next = await bench.open()

  t.equal(await next.find(completed.id), undefined)
  t.match(await next.find(failed.id), { state: 'failed', attempt: 1, error: { message: 'broken' } })
  t.match(await next.find(retrying.id), { state: 'retrying', attempt: 1, error: { message: 'once' } })
})

t.test('D7: an outage that a store has ended is over for tasks, too', async (t) => {
  const { engine, hand, disk, lines } = await start(t)
  const [first, second] = someTasks(2)
  await engine.store([first])
  disk.batch = 'fails'
  engine.release([first.id])
  await until(() => lines.length === 1)
  disk.batch = 'works'
  await put(engine, second)

  t.strictSame([(await hand.job(0)).task.id, (await hand.job(1)).task.id], idsOf([first, second]))
})

t.test('D7: arguments that cannot be read for now are read later', async (t) => {
  const { engine, hand, disk, lines } = await start(t, { concurrency: 1 })
  const tasks = someTasks(2)
  await engine.store(tasks)
  disk.read = 'fails'
  engine.release(idsOf(tasks))
  await until(() => lines.length === 1)
  await t.rejects(engine.find(tasks[0].id), { code: 'LEVEL_IO_ERROR' })
  await t.rejects(engine.list({ limit: 1 }), { code: 'LEVEL_IO_ERROR' })
  t.match(await engine.counts(), { queued: 2 })
  disk.read = 'works'
  const job = await hand.job(0)
  t.match(job, { task: { id: tasks[0].id }, attempt: 1, restarts: 0 })
  job.end(COMPLETED)

  t.match(await hand.job(1), { task: { id: tasks[1].id } })
})

t.test('D7: a cancel, or a retry, that cannot be written is rejected, and holds when it can be', async (t) => {
  const { bench, engine, hand, disk, lines } = await start(t, { concurrency: 1 })
  const [failed, active, waiting] = someTasks(3)
  await put(engine, failed, active, waiting)
  ;(await hand.job(0)).end({ state: 'failed', error: new Error('broken') })
  await inState(engine, failed.id, 'failed')
  await hand.job(1)
  disk.batch = 'fails'
  await t.rejects(engine.cancel(waiting.id, 'no longer needed'), { code: 'LEVEL_IO_ERROR' })
  await t.rejects(engine.retry(failed.id), { code: 'LEVEL_IO_ERROR' })
  t.match(await engine.find(waiting.id), { state: 'cancelled', error: { message: 'no longer needed' } })
  t.match(await engine.find(failed.id), { state: 'queued', attempt: 0, error: undefined })
  disk.batch = 'works'
  await until(() => lines.length === 2)
  await bench.crash(engine)
  const next = await bench.open()

  t.match(await next.find(waiting.id), { state: 'cancelled', error: { message: 'no longer needed' } })
  t.match(await next.find(failed.id), { state: 'queued', attempt: 0 })
})

t.test('D7: a task that is cancelled while its start fails to be written is cancelled', async (t) => {
  const { engine, hand, disk } = await start(t)
  const task = aTask()
  await engine.store([task])
  disk.batch = 'fails'
  engine.release([task.id])
  t.equal(await engine.cancel(task.id, 'no longer needed'), true)
  disk.batch = 'works'
  const last = aTask()
  await put(engine, last)

  t.equal((await hand.job(0)).task.id, last.id)
  t.match(await engine.find(task.id), { state: 'cancelled', attempt: 0, startedAt: undefined })
})

t.test('D7: a journal that had to give up its files has them back, without a restart', async (t) => {
  const { store, engine, disk } = await start(t)
  const [before, after] = someTasks(2)
  await engine.store([before])
  // To open it anew fails as long as something else is in its place.
  renameSync(store.location(), `${store.location()}-away`)
  writeFileSync(store.location(), '')
  disk.failures = 1
  await t.rejects(engine.store([aTask()]), { code: 'EEXIST', message: `The journal at ${store.location()} cannot be opened` })
  await t.rejects(engine.find(before.id), { code: 'EEXIST' })
  rmSync(store.location())
  renameSync(`${store.location()}-away`, store.location())
  t.match(await engine.find(before.id), { state: 'queued' })
  await engine.store([after])

  t.match(await engine.counts(), { queued: 2 })
})

t.test('D7: what cannot be written at close is named, and the next process does it once more', async (t) => {
  const { bench, engine, hand, disk, lines } = await start(t)
  const [done, waiting] = someTasks(2)
  await put(engine, done)
  const job = await hand.job(0)
  disk.batch = 'fails'
  job.end(COMPLETED)
  await until(() => lines.length === 1)
  await bench.shutDown(engine)
  t.match(lines[1], { level: 'error', tasks: [done.id], err: { code: 'LEVEL_IO_ERROR' }, msg: /will be delivered again/ })
  t.equal(lines.length, 2)
  disk.batch = 'works'
  const next = await bench.start()
  t.match(await next.hand.job(0), { task: { id: done.id }, attempt: 1, restarts: 1 })
  await put(next.engine, waiting)

  t.equal((await next.hand.job(1)).task.id, waiting.id)
})

t.test('D7: an outage at close is tried once more, and leaves no timer', async (t) => {
  const { bench, engine, hand, disk, lines } = await start(t)
  const task = aTask()
  await put(engine, task)
  const job = await hand.job(0)
  disk.batch = 'fails'
  job.end(COMPLETED)
  await until(() => lines.length === 1)
  disk.batch = 'works'
  const timers = timersNow()
  await bench.shutDown(engine)

  t.equal(timersNow(), timers - 1)
  t.equal(lines.length, 1)
  t.match(await (await bench.open()).counts(), { queued: 0, retrying: 0 })
})

t.test('R3: a logger that throws keeps nothing from being done', async (t) => {
  const store = journalStore(t)
  const engine = store.engine()
  const broken = (): never => { throw new Error('no stream') }
  await engine.open({ error: broken, info: broken } as never)
  t.teardown(() => engine.close())
  const hand = await new Bench(t, store).work(engine)
  const disk = faultyDisk(t)
  const task = aTask()
  await engine.store([task])
  disk.failures = 2
  engine.release([task.id])

  t.equal((await hand.job(0)).task.id, task.id)
})

interface Started { store: JournalStore, bench: Bench, engine: Engine, hand: Hand, disk: Disk, lines: Line[] }

async function start (t: Test, options: { concurrency?: number } = {}): Promise<Started> {
  const store = journalStore(t)
  const { lines, log } = linesLogger()
  const bench = new Bench(t, store, log)
  return { store, bench, ...await bench.start(options), disk: faultyDisk(t), lines }
}
