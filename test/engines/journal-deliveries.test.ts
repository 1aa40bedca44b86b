import t, { type Test } from 'tap'
import type { Engine, Outcome, StoredTask } from '../../lib/engines/engine'
import { manyTurns } from '../helpers/reply'
import { journalStore, timersNow } from './journal-support'
import { aTask, BACK, Bench, COMPLETED, idsOf, inState, put, someTasks, type Hand } from './suite-support'

t.test('the order of storing is kept where many are at work at once', async (t) => {
  const bench = new Bench(t, journalStore(t))
  const engine = await bench.open({ concurrency: 300 })
  const tasks = someTasks(300, { args: ['x'.repeat(1_000)] })
  await engine.store(tasks)
  engine.release(idsOf(tasks))
  const hand = await bench.work(engine)
  await hand.job(299)

  t.strictSame(idsOf(hand.jobs.map(({ task }) => task)), idsOf(tasks))
})

t.test('the order of storing is kept whatever the order of release, as far as there is a choice', async (t) => {
  const bench = new Bench(t, journalStore(t))
  const engine = await bench.open({ concurrency: 1 })
  const tasks = someTasks(20)
  await engine.store(tasks)
  for (const i of [7, 3, 19, 0, 11, 5, 2, 18, 1, 4, 6, 17, 8, 16, 9, 15, 10, 14, 12, 13]) engine.release([tasks[i].id])
  const hand = await bench.work(engine)
  for (let i = 0; i < tasks.length; i++) (await hand.job(i)).end(COMPLETED)

  t.strictSame(idsOf(hand.jobs.map(({ task }) => task)), idsOf(tasks))
})

t.test('no more than 10 tasks are at work at once by default', async (t) => {
  const { engine, hand } = await new Bench(t, journalStore(t)).start()
  await put(engine, ...someTasks(12))
  await hand.job(9)
  await manyTurns()
  t.equal(hand.atWork, 10)
  hand.jobs[4].end(COMPLETED)
  await hand.job(10)

  t.equal(hand.atWork, 10)
})

t.test('R3: a task that fails for ever does not keep others from starting', async (t) => {
  for (const outcome of [{ state: 'failed', error: 'broken', retryIn: 0 }, BACK] as const) {
    await t.test(outcome.state, async (t) => {
      const { engine, hand } = await new Bench(t, journalStore(t)).start({ concurrency: 1 })
      const [failing, ...others] = someTasks(3)
      await engine.store([failing, ...others])
      engine.release(idsOf([failing, ...others]))
      for (const [i, { id }] of [failing, ...others, failing, failing].entries()) {
        const job = await hand.job(i)
        t.equal(job.task.id, id)
        job.end(id === failing.id ? outcome : COMPLETED)
      }
    })
  }
})

t.test('R3: those that wait come when they are due, the earliest first, behind what is ready by then', async (t) => {
  const { engine, hand } = await new Bench(t, journalStore(t)).start({ concurrency: 1 })
  const waiting = someTasks(3)
  await put(engine, ...waiting)
  for (const [i, retryIn] of [60, 20, 40].entries()) (await hand.job(i)).end({ state: 'failed', error: 'broken', retryIn })
  for (let i = 3; i < 6; i++) (await hand.job(i)).end(COMPLETED)

  t.strictSame(idsOf(hand.jobs.slice(3).map(({ task }) => task)), idsOf([waiting[1], waiting[2], waiting[0]]))
})

t.test('L4: there is one timer while tasks wait, and none when none does', async (t) => {
  const { engine, hand } = await new Bench(t, journalStore(t)).start()
  const tasks = someTasks(4)
  await put(engine, ...tasks)
  await hand.job(3)
  const none = timersNow()
  for (const [i, retryIn] of [3_600_000, 7_200_000, 5_000_000, 9_000_000].entries()) {
    hand.jobs[i].end({ state: 'failed', error: 'broken', retryIn })
    await inState(engine, tasks[i].id, 'retrying')
    t.equal(timersNow(), none + 1)
  }
  for (const { id } of [tasks[2], tasks[0], tasks[3]]) {
    await engine.cancel(id, 'no longer needed')
    t.equal(timersNow(), none + 1)
  }
  await engine.cancel(tasks[1].id, 'no longer needed')

  t.equal(timersNow(), none)
})

t.test('L4: a timer goes when what it was for has come, and at close', async (t) => {
  const { engine, hand } = await new Bench(t, journalStore(t)).start()
  const none = timersNow()
  const [soon, late] = someTasks(2)
  await put(engine, soon)
  ;(await hand.job(0)).end({ state: 'failed', error: 'broken', retryIn: 1 })
  ;(await hand.job(1)).end(COMPLETED)
  t.equal(timersNow(), none)
  await put(engine, late)
  ;(await hand.job(2)).end({ state: 'failed', error: 'broken', retryIn: 3_600_000 })
  await inState(engine, late.id, 'retrying')
  t.equal(timersNow(), none + 1)
  await engine.close()

  t.equal(timersNow(), none)
})

t.test('R3: a wait that is longer than a timer can be is waited for', async (t) => {
  const { engine, hand } = await new Bench(t, journalStore(t)).start()
  const warnings: Error[] = []
  const warned = (warning: Error): void => { warnings.push(warning) }
  process.on('warning', warned)
  t.teardown(() => process.off('warning', warned))
  const task = aTask()
  await put(engine, task)
  ;(await hand.job(0)).end({ state: 'failed', error: 'broken', retryIn: 3_000_000_000 })
  await inState(engine, task.id, 'retrying')
  await manyTurns()

  t.equal(hand.jobs.length, 1)
  t.strictSame(warnings, [])
})

t.test('L1: after stop, this process goes on with what it has stored, and leaves what it has found', async (t) => {
  const bench = new Bench(t, journalStore(t))
  const earlier = await bench.open()
  const [found, foundLate, foundFailed] = someTasks(3)
  await earlier.store([found, foundLate, foundFailed])
  await earlier.cancel(foundFailed.id, 'to be tried again')
  await bench.shutDown(earlier)
  const { engine, hand } = await bench.start({ concurrency: 1 })
  const [own, ownLate, ownHeld] = someTasks(3)
  await engine.store([ownHeld])
  await put(engine, own, ownLate)
  const job = await hand.job(0)
  t.equal(job.task.id, found.id)
  await engine.stop()
  await engine.retry(foundFailed.id)
  job.end({ state: 'failed', error: 'broken', retryIn: 0 })
  const first = await hand.job(1)
  t.equal(first.task.id, own.id)
  engine.release([ownHeld.id])
  first.end({ state: 'failed', error: 'broken', retryIn: 1 })
  for (let i = 2; i < 5; i++) (await hand.job(i)).end(COMPLETED)
  await manyTurns()

  t.strictSame(idsOf(hand.jobs.slice(2).map(({ task }) => task)).sort(), idsOf([own, ownLate, ownHeld]).sort())
  t.match(await engine.counts(), { queued: 2, retrying: 1, active: 0 })
})

t.test('L1: what is about to start when the engine stops, or closes, does not, and comes in the next process', async (t) => {
  for (const end of ['stop', 'close'] as const) {
    await t.test(end, async (t) => {
      const bench = new Bench(t, journalStore(t))
      const task = aTask()
      const earlier = await bench.open()
      await earlier.store([task])
      await bench.shutDown(earlier)
      const engine = await bench.open()
      const hand = await bench.work(engine)
      // It has been taken, and is being read.
      await engine[end]()
      await manyTurns()
      t.equal(hand.jobs.length, 0)
      await bench.shutDown(engine)
      const next = await bench.start()

      t.match(await next.hand.job(0), { task: { id: task.id }, attempt: 1, restarts: 0 })
    })
  }
})

t.test('L1: what is held or waits at close is delivered by the next process', async (t) => {
  const bench = new Bench(t, journalStore(t))
  const { engine, hand } = await bench.start({ concurrency: 1 })
  const [active, held, waiting] = someTasks(3)
  await put(engine, active)
  const job = await hand.job(0)
  await engine.store([held])
  await put(engine, waiting)
  const closing = engine.close()
  engine.release([held.id])
  job.end(COMPLETED)
  await closing
  const next = await bench.start({ concurrency: 1 })
  t.equal(hand.jobs.length, 1)
  ;(await next.hand.job(0)).end(COMPLETED)
  await next.hand.job(1)

  t.strictSame(idsOf(next.hand.jobs.map(({ task }) => task)), idsOf([held, waiting]))
})

t.test('R5: a task that is cancelled just before it starts does not start', async (t) => {
  const { engine, hand } = await new Bench(t, journalStore(t)).start({ concurrency: 2 })
  const [task, next] = someTasks(2)
  await engine.store([task, next])
  engine.release([task.id])
  t.strictSame(await Promise.all([engine.cancel(task.id, 'first'), engine.cancel(task.id, 'second')]), [true, true])
  t.match(await engine.find(task.id), { state: 'cancelled', attempt: 0, startedAt: undefined, error: { message: 'first' } })
  engine.release([next.id])
  t.equal((await hand.job(0)).task.id, next.id)
  t.strictSame(hand.cancels, [])
})

t.test('R5: a task that is cancelled just after a failed attempt makes no other', async (t) => {
  const { engine, hand, task } = await cancelAfter(t, { state: 'failed', error: new Error('broken'), retryIn: 0 })
  t.match(await engine.find(task.id), { state: 'cancelled', attempt: 1, error: { message: 'too late for the attempt' } })
  await manyTurns()
  t.equal(hand.jobs.length, 1)
})

t.test('R5: a task that is cancelled just after it was handed back does not come again', async (t) => {
  const { engine, task } = await cancelAfter(t, BACK)
  t.match(await engine.find(task.id), { state: 'cancelled' })
})

for (const outcome of [COMPLETED, { state: 'failed', error: new Error('broken') }] as const) {
  t.test(`R5: a task that has just ${outcome.state} cannot be cancelled`, async (t) => {
    const { engine, hand } = await new Bench(t, journalStore(t)).start()
    const task = aTask()
    await put(engine, task)
    ;(await hand.job(0)).end(outcome)
    t.equal(await engine.cancel(task.id, 'too late'), false)
  })
}

t.test('R5: a worker that says that a task was cancelled has the last word', async (t) => {
  const { engine, hand } = await new Bench(t, journalStore(t)).start()
  const task = aTask()
  await put(engine, task)
  ;(await hand.job(0)).end({ state: 'cancelled', reason: new Error('for a reason of its own') })
  t.equal(await engine.cancel(task.id, 'too late'), true)
  t.match(await engine.find(task.id), { state: 'cancelled', error: { message: 'for a reason of its own' } })
})

/** Cancels a task between the end of an attempt and the moment when the engine hears of it. */
async function cancelAfter (t: Test, outcome: Outcome): Promise<{ engine: Engine, hand: Hand, task: StoredTask }> {
  const { engine, hand } = await new Bench(t, journalStore(t)).start()
  const task = aTask()
  await put(engine, task)
  ;(await hand.job(0)).end(outcome)
  t.equal(await engine.cancel(task.id, 'too late for the attempt'), true)
  return { engine, hand, task }
}
