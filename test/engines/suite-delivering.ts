import type { Rule } from './suite'
import { A_WHILE, BACK, COMPLETED, idsOf, inState, isCompleted, put, someTasks, aTask } from './suite-support'

export const delivering: Rule[] = [
  {
    says: 'tasks are delivered in the order of storing',
    async holds (t, bench) {
      const engine = await bench.open({ concurrency: 1 })
      const tasks = someTasks(20)
      await put(engine, ...tasks)
      const hand = await bench.work(engine)
      for (let i = 0; i < tasks.length; i++) (await hand.job(i)).end(COMPLETED)

      t.strictSame(idsOf(hand.jobs.map(({ task }) => task)), idsOf(tasks))
    }
  },
  {
    says: 'as many are at work at once as there is room for, never more, and none waits while there is room',
    async holds (t, bench) {
      const { engine, hand } = await bench.start({ concurrency: 3 })
      const tasks = someTasks(12)
      await put(engine, ...tasks)
      for (let ended = 0; ended < tasks.length; ended++) {
        // All the room is taken before one ends.
        await hand.job(Math.min(ended + 2, tasks.length - 1))
        t.equal(hand.atWork, Math.min(3, tasks.length - ended))
        hand.jobs[ended].end(COMPLETED)
      }
      await isCompleted(engine, tasks[11].id)

      t.equal(hand.jobs.length, tasks.length)
    }
  },
  {
    says: 'D6: no more are delivered at once than their worker has room for: what has not started is not at work',
    async holds (t, bench) {
      const engine = await bench.open({ concurrency: 5 })
      const tasks = someTasks(4)
      await put(engine, ...tasks)
      const hand = await bench.work(engine, 2)
      for (let ended = 0; ended < tasks.length; ended++) {
        await hand.job(Math.min(ended + 1, tasks.length - 1))
        t.equal(hand.atWork, Math.min(2, tasks.length - ended))
        t.match(await engine.counts(), { queued: Math.max(0, tasks.length - ended - 2) })
        hand.jobs[ended].end(COMPLETED)
      }
      await isCompleted(engine, tasks[3].id)
    }
  },
  {
    says: 'nothing is delivered before there is a worker',
    async holds (t, bench) {
      const engine = await bench.open()
      const task = aTask()
      await put(engine, task)
      t.match(await engine.find(task.id), { state: 'queued', attempt: 0 })
      const hand = await bench.work(engine)

      t.equal((await hand.job(0)).task.id, task.id)
    }
  },
  {
    says: 'R3: after a failed attempt comes the next, and the task keeps the error meanwhile',
    async holds (t, bench) {
      const { engine, hand } = await bench.start()
      const task = aTask({ retries: 2 })
      await put(engine, task)
      ;(await hand.job(0)).end({ state: 'failed', error: Object.assign(new TypeError('broken'), { code: 'EBROKEN' }), retryIn: A_WHILE })
      const { attempt, error, startedAt } = await inState(engine, task.id, 'retrying')
      t.equal(attempt, 1)
      t.match(error, { name: 'TypeError', message: 'broken', code: 'EBROKEN', stack: /suite-delivering/ })
      t.type(startedAt, 'number')
      ;(await hand.job(1)).end({ state: 'failed', error: 'no error at all', retryIn: 0 })
      ;(await hand.job(2)).end(COMPLETED)
      await isCompleted(engine, task.id)

      t.strictSame(hand.jobs.map(({ attempt, restarts }) => [attempt, restarts]), [[1, 0], [2, 0], [3, 0]])
      t.strictSame(idsOf(hand.jobs.map(({ task }) => task)), [task.id, task.id, task.id])
    }
  },
  {
    says: 'R3: retries are the plugin\'s to decide, however many the task has',
    async holds (t, bench) {
      const { engine, hand } = await bench.start()
      const [none, many] = [aTask({ retries: 0 }), aTask({ retries: 5 })]
      await put(engine, none)
      ;(await hand.job(0)).end({ state: 'failed', error: new Error('first'), retryIn: 1 })
      ;(await hand.job(1)).end(COMPLETED)
      await put(engine, many)
      ;(await hand.job(2)).end({ state: 'failed', error: new Error('unrecoverable') })
      await inState(engine, many.id, 'failed')

      t.equal(hand.jobs.length, 3)
    }
  },
  {
    says: 'R3: a task that waits for its next attempt does not keep others from starting',
    async holds (t, bench) {
      const { engine, hand } = await bench.start({ concurrency: 1 })
      const [failing, other] = someTasks(2)
      await put(engine, failing, other)
      ;(await hand.job(0)).end({ state: 'failed', error: new Error('broken'), retryIn: 3_600_000 })

      t.equal((await hand.job(1)).task.id, other.id)
    }
  },
  {
    says: 'R3: a failed task is kept, with what it failed with',
    async holds (t, bench) {
      const { engine, hand } = await bench.start()
      const task = aTask({ args: ['kept'], reqId: 'req-1' })
      await put(engine, task)
      ;(await hand.job(0)).end({ state: 'failed', error: new RangeError('broken') })
      const failed = await inState(engine, task.id, 'failed')

      t.match(failed, { task, state: 'failed', attempt: 1, error: { name: 'RangeError', message: 'broken' } })
      t.ok(failed.startedAt! <= failed.finishedAt!)
    }
  },
  {
    says: 'R3: an error that cannot be read is kept as one',
    async holds (t, bench) {
      const { engine, hand } = await bench.start()
      const tasks = someTasks(6)
      const errors = [undefined, null, Symbol('symbol'), Object.create(null), { message: 'no stack', code: 1 }, { get message () { throw new Error('unreadable') } }]
      await put(engine, ...tasks)
      for (const [i, { id }] of tasks.entries()) {
        (await hand.job(i)).end({ state: 'failed', error: errors[i] })
        const { error } = await inState(engine, id, 'failed')
        t.match(error, { name: String, message: String })
      }
    }
  },
  {
    says: 'D5: a task that was handed back comes again, and that costs no attempt',
    async holds (t, bench) {
      const { engine, hand } = await bench.start({ concurrency: 1 })
      const task = aTask()
      await put(engine, task)
      ;(await hand.job(0)).end(BACK)
      ;(await hand.job(1)).end({ state: 'failed', error: new Error('broken'), retryIn: 0 })
      ;(await hand.job(2)).end({ state: 'returned', delay: 20 })
      ;(await hand.job(3)).end(COMPLETED)
      await isCompleted(engine, task.id)

      t.strictSame(hand.jobs.map(({ attempt, restarts }) => [attempt, restarts]), [[1, 0], [1, 0], [2, 0], [2, 0]])
    }
  },
  {
    says: 'D4: a task that was handed back for later keeps nothing else from starting',
    async holds (t, bench) {
      const { engine, hand } = await bench.start({ concurrency: 1 })
      const [unknown, other] = someTasks(2)
      await put(engine, unknown, other)
      ;(await hand.job(0)).end({ state: 'returned', delay: 3_600_000 })
      t.equal((await hand.job(1)).task.id, other.id)

      t.match(await engine.find(unknown.id), { state: 'queued', attempt: 0 })
    }
  },
  {
    says: 'progress harms nothing, neither in its time nor later',
    async holds (t, bench) {
      const { engine, task, job } = await bench.startWithJob()
      job.progress({ value: 0.5, message: 'half' })
      job.progress({ value: 1 })
      job.end(COMPLETED)
      await isCompleted(engine, task.id)

      t.doesNotThrow(() => job.progress({ value: 0.1 }))
    }
  },
  {
    says: 'L1: after stop, a task that was at work goes on to its end',
    async holds (t, bench) {
      const { engine, task, job } = await bench.startWithJob()
      await engine.stop()
      job.end({ state: 'failed', error: new Error('broken') })

      t.match(await inState(engine, task.id, 'failed'), { error: { message: 'broken' } })
    }
  },
  {
    says: 'L1: close waits for the outcome of what is at work',
    async holds (t, bench) {
      const { engine, task, job } = await bench.startWithJob()
      await engine.stop()
      let closed = false
      const closing = engine.close().then(() => { closed = true })
      await new Promise((resolve) => setImmediate(resolve))
      t.notOk(closed)
      job.end({ state: 'failed', error: new Error('at the last moment') })
      await closing

      t.match(await (await bench.open()).find(task.id), { state: 'failed', error: { message: 'at the last moment' } })
    }
  }
]
