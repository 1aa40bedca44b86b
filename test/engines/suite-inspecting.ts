import type { StoredChange, StoredQuery } from '../../lib/engines/engine'
import { latch, until } from '../helpers/latch'
import type { Rule } from './suite'
import { A_WHILE, aTask, COMPLETED, idsOf, inState, isCompleted, put, someTasks } from './suite-support'

export const inspecting: Rule[] = [
  {
    says: 'find knows where a task stands',
    async holds (t, bench) {
      const engine = await bench.open()
      const task = aTask({ args: [{ a: 1 }], reqId: 'req-1' })
      t.equal(await engine.find(task.id), undefined)
      await put(engine, task)
      const queued = await engine.find(task.id)
      t.match(queued, { task, state: 'queued', attempt: 0 })
      t.equal(queued?.startedAt, undefined)
      t.equal(queued?.finishedAt, undefined)
      t.equal(queued?.error, undefined)
      const hand = await bench.work(engine)
      await hand.job(0)
      const active = await inState(engine, task.id, 'active')

      t.match(active, { task, attempt: 1, startedAt: Number })
      t.equal(active.finishedAt, undefined)
    }
  },
  {
    says: 'list has all, the newest first, page by page',
    async holds (t, bench) {
      const engine = await bench.open()
      const tasks = someTasks(7)
      await put(engine, ...tasks)
      const pages: string[][] = []
      let cursor: string | undefined
      do {
        const page = await engine.list({ limit: 3, cursor })
        pages.push(idsOf(page.tasks.map(({ task }) => task)))
        cursor = page.cursor
      } while (cursor !== undefined && pages.length < tasks.length)

      t.strictSame(pages.flat(), idsOf(tasks).reverse())
      t.ok(pages.every((page) => page.length <= 3))
    }
  },
  {
    says: 'list has those of a state, or of a name, or both',
    async holds (t, bench) {
      const { engine, hand } = await bench.start({ concurrency: 1 })
      const [a, b] = [someTasks(2, { name: 'a' }), someTasks(2, { name: 'b' })]
      const [failed, active, ...queued] = [a[0], b[0], a[1], b[1]]
      await put(engine, failed, active, ...queued)
      ;(await hand.job(0)).end({ state: 'failed', error: new Error('broken') })
      await inState(engine, failed.id, 'failed')
      await hand.job(1)
      await inState(engine, active.id, 'active')
      const ids = async (query: object): Promise<string[]> =>
        idsOf((await engine.list({ limit: 10, ...query })).tasks.map(({ task }) => task))

      t.strictSame(await ids({ state: 'failed' }), [failed.id])
      t.strictSame(await ids({ state: 'active' }), [active.id])
      t.strictSame(await ids({ state: 'queued' }), [b[1].id, a[1].id])
      t.strictSame(await ids({ state: 'cancelled' }), [])
      t.strictSame(await ids({ name: 'a' }), [a[1].id, a[0].id])
      t.strictSame(await ids({ name: 'b', state: 'queued' }), [b[1].id])
      t.strictSame(await ids({ name: 'unknown' }), [])
    }
  },
  {
    says: 'list refuses what is no query, and an id that can be none is that of no task',
    async holds (t, bench) {
      const engine = await bench.open()
      await put(engine, aTask())
      const wrong: unknown[] = [undefined, {}, ...[0, -1, 1.5, '10', NaN].map((limit) => ({ limit })), { limit: 1, state: 'bogus' }, { limit: 1, name: 5 },
        { limit: 1, cursor: 'x' }, { limit: 1, cursor: '' }, { limit: 1, cursor: 5 }, { limit: 1, unknown: 1 }]
      for (const query of wrong) await t.rejects(engine.list(query as StoredQuery), { code: 'FST_ERR_BACKGROUND_INVALID_OPTION' }, JSON.stringify(query))
      for (const id of [undefined, null, 5, {}, '', '\0', 'a:b', '__proto__'] as string[]) {
        t.equal(await engine.find(id), undefined)
        t.equal(await engine.cancel(id, 'no longer needed'), false)
        t.equal(await engine.retry(id), false)
      }
      t.equal((await engine.list({ limit: Infinity })).tasks.length, 1)
    }
  },
  {
    says: 'counts says how many stand in which state',
    async holds (t, bench) {
      const { engine, hand } = await bench.start({ concurrency: 1 })
      const tasks = someTasks(6)
      await put(engine, ...tasks)
      ;(await hand.job(0)).end(COMPLETED)
      ;(await hand.job(1)).end({ state: 'failed', error: new Error('broken') })
      ;(await hand.job(2)).end({ state: 'failed', error: new Error('broken'), retryIn: 3_600_000 })
      ;(await hand.job(3)).end({ state: 'cancelled', reason: 'no longer needed' })
      await hand.job(4)
      await isCompleted(engine, tasks[0].id)
      for (const [i, state] of [[1, 'failed'], [2, 'retrying'], [3, 'cancelled'], [4, 'active']] as const) await inState(engine, tasks[i].id, state)
      const { completed, ...others } = await engine.counts()

      t.strictSame(others, { queued: 1, active: 1, retrying: 1, failed: 1, cancelled: 1 })
      t.ok(completed <= 1)
    }
  },
  {
    says: 'retry delivers a failed task again, from its first attempt on',
    async holds (t, bench) {
      const { engine, hand } = await bench.start()
      const task = aTask({ args: ['again'] })
      await put(engine, task)
      ;(await hand.job(0)).end({ state: 'failed', error: new Error('broken'), retryIn: 0 })
      ;(await hand.job(1)).end({ state: 'failed', error: new Error('broken for good') })
      await inState(engine, task.id, 'failed')
      t.equal(await engine.retry(task.id), true)
      const job = await hand.job(2)
      t.match(job, { task, attempt: 1, restarts: 0 })
      const active = await inState(engine, task.id, 'active')
      t.equal(active.error, undefined)
      t.equal(active.finishedAt, undefined)
      job.end(COMPLETED)

      await isCompleted(engine, task.id)
    }
  },
  {
    says: 'retry delivers a cancelled task again',
    async holds (t, bench) {
      const engine = await bench.open()
      const task = aTask()
      await put(engine, task)
      await engine.cancel(task.id, 'no longer needed')
      await inState(engine, task.id, 'cancelled')
      t.equal(await engine.retry(task.id), true)
      await inState(engine, task.id, 'queued')
      const hand = await bench.work(engine)

      t.match(await hand.job(0), { task: { id: task.id }, attempt: 1 })
    }
  },
  {
    says: 'retry of what has neither failed nor was cancelled is refused',
    async holds (t, bench) {
      const { engine, hand } = await bench.start({ concurrency: 1 })
      const [active, queued] = someTasks(2)
      await put(engine, active, queued)
      await hand.job(0)

      t.equal(await engine.retry(active.id), false)
      t.equal(await engine.retry(queued.id), false)
      t.equal(await engine.retry(aTask().id), false)
    }
  },
  {
    says: 'R5: a task that is cancelled while it waits does not start, and says why',
    async holds (t, bench) {
      const { engine, hand } = await bench.start({ concurrency: 1 })
      const [first, cancelled, last] = someTasks(3)
      await put(engine, first, cancelled, last)
      const job = await hand.job(0)
      t.equal(await engine.cancel(cancelled.id, 'no longer needed'), true)
      job.end(COMPLETED)
      t.equal((await hand.job(1)).task.id, last.id)

      t.match(await inState(engine, cancelled.id, 'cancelled'),
        { state: 'cancelled', attempt: 0, error: { message: 'no longer needed' }, finishedAt: Number })
    }
  },
  {
    says: 'R5: a task that is cancelled before its reply has left does not start when it has, and once where it is tried again',
    async holds (t, bench) {
      const engine = await bench.open({ concurrency: 1 })
      const [task, last] = someTasks(2)
      await engine.store([task])
      t.equal(await engine.cancel(task.id, 'no longer needed'), true)
      await inState(engine, task.id, 'cancelled')
      engine.release([task.id])
      t.equal((await engine.find(task.id))?.state, 'cancelled')
      t.equal(await engine.retry(task.id), true)
      engine.release([task.id])
      await put(engine, last)
      const hand = await bench.work(engine)
      ;(await hand.job(0)).end(COMPLETED)
      await hand.job(1)

      t.strictSame(idsOf(hand.jobs.map(({ task }) => task)), idsOf([task, last]))
    }
  },
  {
    says: 'R5: a task that is cancelled between two attempts makes no other',
    async holds (t, bench) {
      const { engine, hand } = await bench.start()
      const [task, last] = someTasks(2)
      await put(engine, task)
      ;(await hand.job(0)).end({ state: 'failed', error: new Error('broken'), retryIn: A_WHILE })
      await inState(engine, task.id, 'retrying')
      t.equal(await engine.cancel(task.id, 'no longer needed'), true)
      await inState(engine, task.id, 'cancelled')
      await put(engine, last)
      ;(await hand.job(1)).end({ state: 'failed', error: new Error('broken'), retryIn: A_WHILE })

      t.equal((await hand.job(2)).task.id, last.id)
    }
  },
  {
    says: 'R5: a task that is cancelled at work is cancelled by its worker',
    async holds (t, bench) {
      const { engine, hand } = await bench.start()
      const task = aTask()
      await put(engine, task)
      await hand.job(0)
      t.equal(await engine.cancel(task.id, 'no longer needed'), true)
      const cancelled = await inState(engine, task.id, 'cancelled')

      t.strictSame(hand.cancels, [[task.id, 'no longer needed']])
      t.match(cancelled, { attempt: 1, error: { message: 'no longer needed' } })
    }
  },
  {
    says: 'R5: what is over, or unknown, cannot be cancelled',
    async holds (t, bench) {
      const { engine, hand } = await bench.start({ concurrency: 1 })
      const [completed, failed, cancelled] = someTasks(3)
      await put(engine, completed, failed, cancelled)
      ;(await hand.job(0)).end(COMPLETED)
      await isCompleted(engine, completed.id)
      ;(await hand.job(1)).end({ state: 'failed', error: new Error('broken') })
      await inState(engine, failed.id, 'failed')
      ;(await hand.job(2)).end({ state: 'cancelled', reason: 'first' })
      await inState(engine, cancelled.id, 'cancelled')

      for (const { id } of [completed, failed, cancelled, aTask()]) t.equal(await engine.cancel(id, 'second'), false)
      t.match(await engine.find(cancelled.id), { error: { message: 'first' } })
    }
  },
  {
    says: 'watch tells of changes and progress until it is ended, whatever a listener throws',
    async holds (t, bench) {
      const { engine, hand } = await bench.start()
      const seen: StoredChange[] = []
      const [task, other] = someTasks(2)
      const started = latch()
      engine.watch(() => { throw new Error('a listener') })
      const unwatch = engine.watch((change) => {
        if (change.id === task.id) seen.push(change)
        if (change.id === task.id && change.state === 'active') started.open()
      })
      await put(engine, task)
      const job = await hand.job(0)
      await started
      job.progress({ value: 0.5, message: 'half' })
      await until(() => seen.some(({ progress }) => progress?.value === 0.5))
      job.end({ state: 'failed', error: new Error('broken'), retryIn: 1 })
      ;(await hand.job(1)).end(COMPLETED)
      await until(() => seen.some(({ state }) => state === 'completed'))
      unwatch()
      const { length } = seen
      await put(engine, other)
      ;(await hand.job(2)).end(COMPLETED)
      await isCompleted(engine, other.id)

      const states = seen.map(({ state }) => state).filter((state, i, all) => state !== all[i - 1])
      t.strictSame(states.filter((state) => state !== 'queued'), ['active', 'retrying', 'active', 'completed'])
      t.match(seen.find(({ progress }) => progress !== undefined), { state: 'active', progress: { value: 0.5, message: 'half' } })
      t.equal(seen.length, length)
    }
  }
]
