import { readdirSync } from 'node:fs'
import t from 'tap'
import { journalStore, timers } from '../helpers/journal'
import { until } from '../helpers/latch'
import { failing, watchLevel } from '../helpers/level'
import { aTask, Bench, BACK, COMPLETED, idsOf, inState, put, someTasks } from './suite-support'

t.test('L1: close waits for all that is at work, and starts nothing more', async (t) => {
  const bench = new Bench(t, journalStore(t))
  const { engine, hand } = await bench.start({ concurrency: 2 })
  const tasks = someTasks(4)
  await put(engine, ...tasks)
  await hand.job(1)
  let isClosed = false
  const closing = engine.close()
  // Whoever asks again waits as long.
  const again = engine.close().then(() => { isClosed = true })
  hand.jobs[0].end(COMPLETED)
  await new Promise((resolve) => setTimeout(resolve, 5))
  t.notOk(isClosed)
  hand.jobs[1].end({ state: 'failed', error: new Error('broken'), retryIn: 0 })
  await Promise.all([closing, again])
  t.equal(hand.jobs.length, 2)
  const next = await bench.start({ concurrency: Infinity })
  await next.hand.job(2)

  t.strictSame(next.hand.jobs.map(({ task, attempt, restarts }) => [task.id, attempt, restarts]),
    [[tasks[1].id, 2, 0], [tasks[2].id, 1, 0], [tasks[3].id, 1, 0]])
})

t.test('L2: after close nothing of a journal is left: no timer, no lock, nobody at work', async (t) => {
  const level = watchLevel(t)
  const bench = new Bench(t, journalStore(t))
  const before = timers()
  const { engine, hand } = await bench.start()
  const [retrying, returned, waiting] = someTasks(3)
  await put(engine, retrying, returned)
  ;(await hand.job(0)).end({ state: 'failed', error: new Error('broken'), retryIn: 3_600_000 })
  ;(await hand.job(1)).end({ state: 'returned', delay: 3_600_000 })
  await inState(engine, retrying.id, 'retrying')
  await inState(engine, returned.id, 'queued')
  t.equal(timers(), before + 1)
  await engine.store([waiting])
  level.before.batch = failing('no room')
  engine.release([waiting.id])
  // One for the next attempt, one to try again.
  await until(() => timers() === before + 2)
  level.before.batch = undefined
  await bench.shutDown(engine)
  t.equal(timers(), before)
  const next = await bench.start()

  t.equal((await next.hand.job(0)).task.id, waiting.id)
})

t.test('L4: a task that is cancelled while it waits leaves no timer', async (t) => {
  const { engine, hand } = await new Bench(t, journalStore(t)).start()
  const before = timers()
  const task = aTask()
  await put(engine, task)
  ;(await hand.job(0)).end({ state: 'returned', delay: 3_600_000 })
  await inState(engine, task.id, 'queued')
  t.equal(timers(), before + 1)
  await engine.cancel(task.id, 'no longer needed')

  t.equal(timers(), before)
})

t.test('L4: a wait that is longer than a timer can be is no busy one', async (t) => {
  const warnings: Error[] = []
  const listener = (warning: Error): void => { warnings.push(warning) }
  process.on('warning', listener)
  t.teardown(() => process.off('warning', listener))
  const { engine, hand } = await new Bench(t, journalStore(t)).start()
  const task = aTask()
  await put(engine, task)
  ;(await hand.job(0)).end({ state: 'returned', delay: 3_000_000_000 })
  await inState(engine, task.id, 'queued')
  // A timer that is too long would be over by now.
  await new Promise((resolve) => setTimeout(resolve, 5))

  t.strictSame(warnings, [])
  t.equal(hand.jobs.length, 1)
})

t.test('L1: after stop, what others have stored is left for the next, and what this process has stored is not', async (t) => {
  const bench = new Bench(t, journalStore(t))
  const first = await bench.open()
  const others = someTasks(3)
  await put(first, ...others)
  await bench.shutDown(first)
  const { engine, hand } = await bench.start({ concurrency: 1 })
  const own = someTasks(2)
  const job = await hand.job(0)
  await put(engine, ...own)
  await engine.stop()
  job.end(BACK)
  ;(await hand.job(1)).end(COMPLETED)
  t.equal((await hand.job(2)).task.id, own[1].id)
  await bench.shutDown(engine, hand)

  t.strictSame(idsOf(hand.jobs.map(({ task }) => task)), idsOf([others[0], ...own]))
  const next = await bench.start({ concurrency: Infinity })
  await next.hand.job(3)
  t.strictSame(idsOf(next.hand.jobs.map(({ task }) => task)), idsOf([...others, own[1]]))
})

t.test('D2: what was stored and never released is delivered by the next process', async (t) => {
  const bench = new Bench(t, journalStore(t))
  const { engine } = await bench.start()
  const task = aTask()
  await engine.store([task])
  await bench.shutDown(engine)
  engine.release([task.id])

  t.equal((await (await bench.start()).hand.job(0)).task.id, task.id)
})

t.test('L2: a store that waits for another as the journal closes is rejected', async (t) => {
  const bench = new Bench(t, journalStore(t))
  const engine = await bench.open()
  const [task, other] = someTasks(2)
  const first = engine.store([task])
  const second = engine.store([task, other])
  const closing = engine.close()
  await first
  await t.rejects(second, { message: 'is not open' })
  await closing

  t.strictSame((await (await bench.open()).list({ limit: 5 })).tasks.map(({ task }) => task.id), [task.id])
})

t.test('D4: a task that was handed back for later comes then, in the next process too', async (t) => {
  const bench = new Bench(t, journalStore(t))
  const { engine, hand } = await bench.start()
  const [soon, late] = someTasks(2)
  await put(engine, soon, late)
  ;(await hand.job(0)).end({ state: 'returned', delay: 100 })
  ;(await hand.job(1)).end({ state: 'returned', delay: 3_600_000 })
  await bench.shutDown(engine)
  const next = await bench.start()
  ;(await next.hand.job(0)).end(COMPLETED)
  const last = aTask()
  await put(next.engine, last)
  await next.hand.job(1)

  t.strictSame(idsOf(next.hand.jobs.map(({ task }) => task)), idsOf([soon, last]))
  t.match(await next.engine.find(late.id), { state: 'queued', attempt: 0 })
})

t.test('a closed journal leaves what LevelDB writes, and nothing else', async (t) => {
  const store = journalStore(t)
  const bench = new Bench(t, store)
  const engine = await bench.open()
  await engine.store([aTask()])
  await bench.shutDown(engine)

  t.strictSame(readdirSync(store.location()).filter((name) => !/^(\d{6}\.(log|ldb)|CURRENT|LOCK|LOG|LOG\.old|MANIFEST-\d{6})$/.test(name)), [])
})
