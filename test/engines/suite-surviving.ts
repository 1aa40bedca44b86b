import type { Rule } from './suite'
import { A_WHILE, aTask, BACK, COMPLETED, idsOf, inState, isCompleted, put, someTasks } from './suite-support'

export const surviving: Rule[] = [
  {
    says: 'D2: what waits at shutdown is delivered by the next process, in its order',
    async holds (t, bench) {
      const engine = await bench.open()
      const tasks = someTasks(5)
      await engine.store(tasks)
      await bench.shutDown(engine)
      const { hand } = await bench.start({ concurrency: 1 })
      for (let i = 0; i < tasks.length; i++) (await hand.job(i)).end(COMPLETED)

      t.strictSame(idsOf(hand.jobs.map(({ task }) => task)), idsOf(tasks))
      t.match(hand.jobs.map(({ attempt, restarts }) => [attempt, restarts]), tasks.map(() => [1, 0]))
    }
  },
  {
    says: 'D2: what is stored when the process dies is delivered by the next',
    async holds (t, bench) {
      const engine = await bench.open()
      const task = aTask({ args: ['survives'], reqId: 'req-1', meta: { a: 'b' } })
      await engine.store([task])
      await bench.crash(engine)
      const { hand } = await bench.start()
      const job = await hand.job(0)

      t.strictSame(job.task, task)
      t.match(job, { attempt: 1, restarts: 0 })
    }
  },
  {
    says: 'D2: what has completed does not come again after the process has died',
    async holds (t, bench) {
      const { engine, hand } = await bench.start({ concurrency: 1 })
      const [done, left] = someTasks(2)
      await put(engine, done, left)
      ;(await hand.job(0)).end(COMPLETED)
      await isCompleted(engine, done.id)
      await hand.job(1)
      await bench.crash(engine)
      const next = await bench.start({ concurrency: 1 })

      t.equal((await next.hand.job(0)).task.id, left.id)
    }
  },
  {
    says: 'D5: what is handed back at shutdown is delivered by the next process as if it had not started',
    async holds (t, bench) {
      const { engine, hand } = await bench.start()
      const task = aTask()
      await put(engine, task)
      await hand.job(0)
      await bench.shutDown(engine, hand)
      const next = await bench.start()

      t.match(await next.hand.job(0), { task: { id: task.id }, attempt: 1, restarts: 0 })
    }
  },
  {
    says: 'D5: a second attempt that is handed back at shutdown stays the second',
    async holds (t, bench) {
      const { engine, hand } = await bench.start()
      const task = aTask()
      await put(engine, task)
      ;(await hand.job(0)).end({ state: 'failed', error: new Error('broken'), retryIn: 0 })
      await hand.job(1)
      await bench.shutDown(engine, hand)
      const next = await bench.start()

      t.match(await next.hand.job(0), { task: { id: task.id }, attempt: 2, restarts: 0 })
    }
  },
  {
    says: 'R3: a wait for the next attempt goes on in the next process',
    async holds (t, bench) {
      const { engine, hand } = await bench.start()
      const [soon, late] = someTasks(2)
      await put(engine, soon, late)
      ;(await hand.job(0)).end({ state: 'failed', error: new Error('broken'), retryIn: A_WHILE })
      ;(await hand.job(1)).end({ state: 'failed', error: new Error('broken'), retryIn: 3_600_000 })
      await inState(engine, soon.id, 'retrying')
      await inState(engine, late.id, 'retrying')
      await bench.shutDown(engine)
      const next = await bench.start()
      const job = await next.hand.job(0)
      t.match(job, { task: { id: soon.id }, attempt: 2, restarts: 0 })
      job.end(COMPLETED)
      await isCompleted(next.engine, soon.id)

      t.match(await next.engine.find(late.id), { state: 'retrying', attempt: 1, error: { message: 'broken' } })
    }
  },
  {
    says: 'D6: a task whose process died comes again, with the count of such restarts',
    async holds (t, bench) {
      const task = aTask()
      let { engine, hand } = await bench.start()
      await put(engine, task)
      t.match(await hand.job(0), { attempt: 1, restarts: 0 })
      for (const restarts of [1, 2, 3]) {
        await bench.crash(engine)
        ;({ engine, hand } = await bench.start())
        t.match(await hand.job(0), { task: { id: task.id }, attempt: 1, restarts })
      }
    }
  },
  {
    says: 'D6: an attempt that the process died at is made again, those that had failed are not',
    async holds (t, bench) {
      const { engine, hand } = await bench.start()
      const task = aTask({ retries: 5 })
      await put(engine, task)
      ;(await hand.job(0)).end({ state: 'failed', error: new Error('broken'), retryIn: 0 })
      t.equal((await hand.job(1)).attempt, 2)
      await bench.crash(engine)
      const next = await bench.start()
      const again = await next.hand.job(0)
      t.match(again, { attempt: 2, restarts: 1 })
      again.end({ state: 'failed', error: new Error('broken again'), retryIn: 0 })

      t.match(await next.hand.job(1), { attempt: 3, restarts: 1 })
    }
  },
  {
    says: 'D6: to be handed back does not count as a restart, nor does it take one back',
    async holds (t, bench) {
      const { engine, hand } = await bench.start()
      await put(engine, aTask())
      await hand.job(0)
      await bench.crash(engine)
      const next = await bench.start()
      ;(await next.hand.job(0)).end(BACK)
      t.match(await next.hand.job(1), { attempt: 1, restarts: 1 })
      await bench.shutDown(next.engine, next.hand)
      const last = await bench.start()

      t.match(await last.hand.job(0), { attempt: 1, restarts: 1 })
    }
  },
  {
    says: 'R3: what has failed or was cancelled is known to the next process, and does not come again',
    async holds (t, bench) {
      const { engine, hand } = await bench.start({ concurrency: 1 })
      const [failed, cancelled, left] = someTasks(3)
      await put(engine, failed, cancelled, left)
      ;(await hand.job(0)).end({ state: 'failed', error: new Error('broken') })
      await inState(engine, failed.id, 'failed')
      ;(await hand.job(1)).end({ state: 'cancelled', reason: new Error('no longer needed') })
      await inState(engine, cancelled.id, 'cancelled')
      await hand.job(2)
      await bench.crash(engine)
      const next = await bench.start({ concurrency: 1 })
      t.equal((await next.hand.job(0)).task.id, left.id)

      t.match(await next.engine.find(failed.id), { state: 'failed', attempt: 1, error: { message: 'broken' } })
      t.match(await next.engine.find(cancelled.id), { state: 'cancelled', error: { message: 'no longer needed' } })
    }
  }
]
