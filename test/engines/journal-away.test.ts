// D7: a disk that fails, and works again.
import t from 'tap'
import { engineLog, journalStore, timers } from '../helpers/journal'
import { latch, until } from '../helpers/latch'
import { failing, failingOnce, watchLevel } from '../helpers/level'
import { aTask, Bench, BACK, COMPLETED, idsOf, inState, put, someTasks } from './suite-support'

const AWAY = 'the journal is out of order, no task is started until it works again'
const BACK_AGAIN = 'the journal works again'

t.test('D7: nothing starts while starts cannot be written; it is said once, and goes on when they can', async (t) => {
  const level = watchLevel(t)
  const { log, lines } = engineLog()
  const bench = new Bench(t, journalStore(t))
  const { engine, hand } = await bench.start({ concurrency: 2 }, log)
  const tasks = someTasks(3)
  await engine.store(tasks)
  level.before.batch = failing('no room')
  engine.release(idsOf(tasks))
  await until(() => lines.length === 1)
  t.match(await engine.find(tasks[0].id), { state: 'queued', attempt: 0, startedAt: undefined })
  await t.rejects(engine.store([aTask()]), { message: 'no room' })
  t.match(await engine.find(tasks[0].id), { task: tasks[0], state: 'queued' })
  let tries = 0
  level.before.batch = () => {
    tries++
    failing('still no room')()
  }
  await until(() => tries > 0)
  level.before.batch = undefined
  await hand.job(1)

  t.strictSame(lines.map(({ msg }) => msg), [AWAY, BACK_AGAIN])
  t.match(lines[0], { level: 50, err: { message: 'no room' } })
  t.strictSame(hand.jobs.map(({ task, attempt, restarts }) => [task.id, attempt, restarts]), [[tasks[0].id, 1, 0], [tasks[1].id, 1, 0]])
})

t.test('D7: nor while tasks cannot be read', async (t) => {
  const level = watchLevel(t)
  const { log, lines } = engineLog()
  const { engine, hand } = await new Bench(t, journalStore(t)).start({ concurrency: 1 }, log)
  const tasks = someTasks(2)
  await engine.store(tasks)
  level.before.get = failing('an unreadable disk')
  engine.release(idsOf(tasks))
  await until(() => lines.length === 1)
  await t.rejects(engine.find(tasks[0].id), { message: 'an unreadable disk' })
  level.before.get = undefined
  t.match(await hand.job(0), { task: { id: tasks[0].id }, attempt: 1, restarts: 0 })

  t.match(lines, [{ msg: AWAY, err: { message: 'an unreadable disk' } }, { msg: BACK_AGAIN }])
})

t.test('D4: a task that LevelDB finds damaged fails, and is no reason to stop', async (t) => {
  const level = watchLevel(t)
  const { log, lines } = engineLog()
  const { engine, hand } = await new Bench(t, journalStore(t)).start({ concurrency: 1 }, log)
  const tasks = someTasks(2)
  await engine.store(tasks)
  level.before.get = () => {
    level.before.get = undefined
    failing('a damaged block', 'LEVEL_CORRUPTION')()
  }
  engine.release(idsOf(tasks))
  t.equal((await hand.job(0)).task.id, tasks[1].id)

  t.match(await engine.find(tasks[0].id), { state: 'failed', error: { message: 'the file is damaged' } })
  t.match(lines, [{ level: 50, err: { message: 'the file is damaged' } }])
})

t.test('D7: what could not be written of a task is written later', async (t) => {
  const level = watchLevel(t)
  const { log, lines } = engineLog()
  const bench = new Bench(t, journalStore(t))
  const { engine, hand } = await bench.start({ concurrency: 3 }, log)
  const [completed, failed, retrying] = someTasks(3)
  await put(engine, completed, failed, retrying)
  await hand.job(2)
  level.before.batch = failing('no room')
  hand.jobs[0].end(COMPLETED)
  hand.jobs[1].end({ state: 'failed', error: new Error('broken') })
  hand.jobs[2].end({ state: 'failed', error: new Error('broken'), retryIn: 3_600_000 })
  await until(() => lines.length === 1)
  t.match(await engine.find(failed.id), { state: 'failed', error: { message: 'broken' } })
  level.before.batch = undefined
  await until(() => lines.length === 2)
  await bench.crash(engine)
  const { length } = level.batches
  await engine.close()
  // Nothing is left to be written.
  t.equal(level.batches.length, length)
  const next = await bench.open()

  t.equal(await next.find(completed.id), undefined)
  t.match(await next.find(failed.id), { state: 'failed', error: { message: 'broken' } })
  t.match(await next.find(retrying.id), { state: 'retrying', attempt: 1, error: { message: 'broken' } })
})

t.test('D7: a journal that closes meanwhile tries once more', async (t) => {
  const level = watchLevel(t)
  const { log, lines } = engineLog()
  const bench = new Bench(t, journalStore(t))
  const { engine, task, job } = await bench.startWithJob(log)
  // Both tries.
  level.before.batch = () => {
    level.before.batch = failingOnce(level.before, 'batch', 'no room')
    failing('no room')()
  }
  const closing = bench.shutDown(engine)
  job.end({ state: 'failed', error: new Error('broken') })
  await closing

  t.strictSame(lines.map(({ msg }) => msg), [AWAY])
  t.match(await (await bench.open()).find(task.id), { state: 'failed' })
})

t.test('D7: a journal that closes without what became of its tasks names them, and they come again', async (t) => {
  const level = watchLevel(t)
  const { log, lines } = engineLog()
  const bench = new Bench(t, journalStore(t))
  const { engine, task, job } = await bench.startWithJob(log)
  const before = timers()
  level.before.batch = failing('no room')
  const closing = bench.shutDown(engine)
  job.end(COMPLETED)
  await closing
  t.equal(timers(), before)
  level.before.batch = undefined
  const next = await bench.start()

  t.match(lines, [{ msg: AWAY }, { level: 50, tasks: [task.id], msg: /they will be delivered again/ }])
  t.equal(lines.length, 2)
  t.match(await next.hand.job(0), { task: { id: task.id }, attempt: 1, restarts: 1 })
})

t.test('D7: a database that cannot be opened anew is an error until it can', async (t) => {
  const level = watchLevel(t)
  const bench = new Bench(t, journalStore(t))
  const engine = await bench.open()
  const tasks = someTasks(3)
  await engine.store(tasks.slice(0, 1))
  level.before.batch = failingOnce(level.before, 'batch', 'no room')
  level.before.open = failing('not now')
  await t.rejects(engine.store(tasks.slice(1, 2)), { name: 'JournalError', code: 'LEVEL_IO_ERROR', message: 'cannot be opened: not now' })
  await t.rejects(Promise.all([engine.find(tasks[0].id), engine.find(tasks[0].id)]), { message: 'not now' })
  level.before.open = undefined
  await engine.store(tasks.slice(2))
  await bench.crash(engine)

  t.strictSame((await (await bench.open()).list({ limit: 5 })).tasks.map(({ task }) => task.id), [tasks[2].id, tasks[0].id])
})

t.test('D7: retry and cancel of a task are rejected when they cannot be written, and done all the same', async (t) => {
  const level = watchLevel(t)
  const bench = new Bench(t, journalStore(t))
  const engine = await bench.open()
  const [again, cancelled] = someTasks(2)
  await put(engine, again, cancelled)
  await engine.cancel(again.id, 'no longer needed')
  level.before.batch = failing('no room')
  await t.rejects(engine.retry(again.id), { message: 'no room' })
  await t.rejects(engine.cancel(cancelled.id, 'no longer needed'), { message: 'no room' })
  level.before.batch = undefined
  await bench.shutDown(engine)
  const next = await bench.open()

  t.match(await next.find(again.id), { state: 'queued' })
  t.match(await next.find(cancelled.id), { state: 'cancelled' })
})

t.test('R5: a task that is cancelled while its start is written does not start', async (t) => {
  const level = watchLevel(t)
  const { engine, hand } = await new Bench(t, journalStore(t)).start({ concurrency: 1 })
  const [cancelled, other] = someTasks(2)
  await engine.store([cancelled, other])
  const [begun, written] = [latch(), latch()]
  level.before.batch = () => {
    begun.open()
    return written
  }
  engine.release(idsOf([cancelled, other]))
  await begun
  const cancels = [engine.cancel(cancelled.id, 'first'), engine.cancel(cancelled.id, 'second')]
  written.open()
  t.equal((await hand.job(0)).task.id, other.id)

  t.strictSame(await Promise.all(cancels), [true, true])
  t.match(await engine.find(cancelled.id), { state: 'cancelled', attempt: 0, startedAt: undefined, error: { message: 'first' } })
})

t.test('L1: a task whose start is written at shutdown is left as if it had not been', async (t) => {
  const level = watchLevel(t)
  const bench = new Bench(t, journalStore(t))
  const engine = await bench.open()
  const task = aTask()
  await put(engine, task)
  await bench.shutDown(engine)
  const second = await bench.start()
  await until(() => level.batches.length > 1)
  await second.hand.job(0)
  await bench.shutDown(second.engine, second.hand)
  const [begun, written] = [latch(), latch()]
  level.before.batch = () => {
    begun.open()
    return written
  }
  const third = await bench.start()
  await begun
  await third.engine.stop()
  written.open()
  await inState(third.engine, task.id, 'queued')
  await bench.shutDown(third.engine)
  t.strictSame(third.hand.jobs, [])
  const last = await bench.start()

  t.match(await last.hand.job(0), { attempt: 1, restarts: 0 })
})

t.test('R5: a task that is cancelled just as its attempt ends is cancelled if it were to come again, and else not', async (t) => {
  const { engine } = await new Bench(t, journalStore(t)).start()
  for (const [outcome, answer, state] of [
    [BACK, true, 'cancelled'], [{ state: 'failed', error: 'broken', retryIn: 0 }, true, 'cancelled'], [{ state: 'failed', error: 'broken' }, false, 'failed'],
    [COMPLETED, false, undefined], [{ state: 'cancelled', reason: 'by itself' }, true, 'cancelled']
  ] as const) {
    const [began, ended] = [latch(), latch()]
    // One that has its outcome already, and can do nothing more about it.
    await engine.work({
      concurrency: 1,
      run: async () => {
        began.open()
        await ended
        return outcome
      },
      cancel: () => false
    })
    const task = aTask()
    await put(engine, task)
    await began
    const cancelling = engine.cancel(task.id, 'too late')
    ended.open()

    t.equal(await cancelling, answer, JSON.stringify(outcome))
    t.equal((await engine.find(task.id))?.state, state)
  }
})
