import t, { type Test } from 'tap'
import type { StoredChange } from '../../lib/engines/engine'
import { journalStore } from '../helpers/journal'
import { aTask, Bench, COMPLETED, idsOf, inState, put, someTasks } from './suite-support'

const BROKEN = { state: 'failed', error: new Error('broken') } as const

t.test('T1: a task that was cancelled before its reply has left does not start when it is released', async (t) => {
  const { engine, hand } = await new Bench(t, journalStore(t)).start()
  const [cancelled, other] = someTasks(2)
  await engine.store([cancelled, other])
  t.equal(await engine.cancel(cancelled.id, 'no longer needed'), true)
  engine.release(idsOf([cancelled, other]))
  ;(await hand.job(0)).end(COMPLETED)
  const last = aTask()
  await put(engine, last)
  await hand.job(1)

  t.strictSame(idsOf(hand.jobs.map(({ task }) => task)), idsOf([other, last]))
  t.match(await engine.find(cancelled.id), { state: 'cancelled', attempt: 0 })
})

t.test('T1: what is ready starts in the order of storing, whichever reply has left first', async (t) => {
  const { engine, hand } = await new Bench(t, journalStore(t)).start({ concurrency: 1 })
  const [first, ...tasks] = someTasks(4)
  await put(engine, first)
  await engine.store(tasks)
  engine.release(idsOf(tasks).reverse())
  for (let i = 0; i < 4; i++) (await hand.job(i)).end(COMPLETED)

  t.strictSame(idsOf(hand.jobs.map(({ task }) => task)), idsOf([first, ...tasks]))
})

t.test('R3: a task that comes again stands in line behind what is ready then', async (t) => {
  const { engine, hand } = await new Bench(t, journalStore(t)).start({ concurrency: 1 })
  const [retried, returned, failing, atWork, waiting] = someTasks(5)
  await put(engine, retried, returned, failing, atWork)
  ;(await hand.job(0)).end(BROKEN)
  ;(await hand.job(1)).end({ state: 'returned', delay: 1_000 })
  ;(await hand.job(2)).end({ ...BROKEN, retryIn: 1_000 })
  const job = await hand.job(3)
  await put(engine, waiting)
  // Until both are due: its timer comes behind theirs.
  await new Promise((resolve) => setTimeout(resolve, 1_100))
  t.equal(await engine.retry(retried.id), true)
  job.end(COMPLETED)
  for (let i = 4; i < 8; i++) (await hand.job(i)).end(COMPLETED)
  const order = idsOf(hand.jobs.slice(4).map(({ task }) => task))

  t.equal(order[0], waiting.id)
  t.strictSame(order.slice(1).sort(), idsOf([retried, returned, failing]).sort())
})

t.test('D6: a task that is tried again has no restarts, whatever came before', async (t) => {
  const bench = new Bench(t, journalStore(t))
  const { engine, hand } = await bench.start()
  const task = aTask()
  await put(engine, task)
  await hand.job(0)
  await bench.crash(engine)
  const next = await bench.start()
  const job = await next.hand.job(0)
  t.equal(job.restarts, 1)
  job.end(BROKEN)
  await inState(next.engine, task.id, 'failed')
  await next.engine.retry(task.id)

  t.match(await next.hand.job(1), { attempt: 1, restarts: 0 })
})

t.test('D6: of tasks that a process has died at, the others do not wait for ever for one that does not end', async (t) => {
  const bench = new Bench(t, journalStore(t))
  const { engine, hand } = await bench.start()
  await put(engine, ...someTasks(2))
  await hand.job(1)
  await bench.crash(engine)
  const minute = timerOf(t, 60_000)
  const next = await bench.start()
  const hanging = await next.hand.job(0)
  t.equal(next.hand.atWork, 1)
  ;(await minute)()
  ;(await next.hand.job(1)).end(COMPLETED)
  hanging.end(COMPLETED)
})

/** What the next timer of this length would do. It does not do so by itself. */
function timerOf (t: Test, length: number): Promise<() => void> {
  const { setTimeout } = globalThis
  const restore = (): void => { globalThis.setTimeout = setTimeout }
  t.teardown(restore)
  return new Promise((resolve) => {
    globalThis.setTimeout = Object.assign((action: () => void, delay?: number, ...args: []) => {
      if (delay !== length) return setTimeout(action, delay, ...args)
      restore()
      resolve(action)
      return setTimeout(() => {}, 0)
    }, setTimeout) as typeof setTimeout
  })
}

t.test('progress is that of the attempt at work', async (t) => {
  const { engine, hand } = await new Bench(t, journalStore(t)).start()
  const seen: StoredChange[] = []
  engine.watch((change) => { if (change.progress !== undefined) seen.push(change) })
  const task = aTask()
  await put(engine, task)
  const first = await hand.job(0)
  first.progress({ value: 0.9 })
  t.match(await engine.find(task.id), { progress: { value: 0.9 } })
  first.end({ ...BROKEN, retryIn: 0 })
  const second = await hand.job(1)
  t.equal((await engine.find(task.id))?.progress, undefined)
  first.progress({ value: 1 })
  t.equal((await engine.find(task.id))?.progress, undefined)
  second.progress({ value: 0.1 })
  second.end(BROKEN)
  await inState(engine, task.id, 'failed')
  second.progress({ value: 0.2 })

  t.match(await engine.find(task.id), { progress: { value: 0.1 } })
  t.notOk(seen.some(({ progress }) => progress?.value === 1))
})

t.test('a function that watches twice is told twice, and each ends for itself', async (t) => {
  const { engine } = await new Bench(t, journalStore(t)).start()
  const seen: string[] = []
  const listener = ({ id }: StoredChange): void => { seen.push(id) }
  const ends = [engine.watch(listener), engine.watch(listener)]
  const tasks = someTasks(2)
  await engine.store([tasks[0]])
  ends[0]()
  await engine.store([tasks[1]])

  t.strictSame(seen, [tasks[0].id, tasks[0].id, tasks[1].id])
})
