import type { Rule } from './suite'
import { aTask, COMPLETED, idsOf, inState, isCompleted, put, someTasks } from './suite-support'

const args = [1, 'zwei', { drei: [null, true, { 'a "quoted" key': '\u0000\ud83d\ude00' }] }, [], '']

export const storing: Rule[] = [
  {
    says: 'D2: a task is delivered as it was stored',
    async holds (t, bench) {
      const { engine, hand } = await bench.start()
      const task = aTask({
        name: 'send mail / "quoted"', args, reqId: 'req-1', meta: { traceparent: '00-1', '': 'empty' }, retries: 3, queuedAt: 1_700_000_000_000
      })
      await put(engine, task)
      const { attempt, restarts, task: delivered } = await hand.job(0)

      t.strictSame(delivered, task)
      t.strictSame({ attempt, restarts }, { attempt: 1, restarts: 0 })
    }
  },
  {
    says: 'D2: a task without a request, and without arguments, is delivered',
    async holds (t, bench) {
      const { engine, hand } = await bench.start()
      const task = aTask()
      await put(engine, task)

      t.match((await hand.job(0)).task, task)
    }
  },
  {
    says: 'D2: large arguments are delivered whole',
    async holds (t, bench) {
      const { engine, hand } = await bench.start()
      const large = 'x'.repeat(1 << 20)
      await put(engine, aTask({ args: [large] }))

      t.ok((await hand.job(0)).task.args[0] === large)
    }
  },
  {
    says: 'D2: tasks are stored together',
    async holds (t, bench) {
      const { engine, hand } = await bench.start({ concurrency: 1 })
      const tasks = someTasks(5)
      await engine.store(tasks)
      engine.release(idsOf(tasks))
      for (let i = 0; i < tasks.length; i++) (await hand.job(i)).end(COMPLETED)

      t.strictSame(idsOf(hand.jobs.map(({ task }) => task)), idsOf(tasks))
    }
  },
  {
    says: 'D2: to store nothing is no mistake',
    async holds (t, bench) {
      const engine = await bench.open()
      await engine.store([])
      engine.release([])

      t.equal((await engine.counts()).queued, 0)
    }
  },
  {
    says: 'D2: a task that is there already is left as it is, whatever its state',
    async holds (t, bench) {
      const { engine, hand } = await bench.start({ concurrency: 1 })
      const [first, failed, waiting] = [aTask({ args: ['first'] }), aTask(), aTask({ args: ['first'] })]
      await put(engine, failed, first, waiting)
      ;(await hand.job(0)).end({ state: 'failed', error: new Error('broken') })
      await inState(engine, failed.id, 'failed')
      await hand.job(1)

      const second = [first, failed, waiting].map((task) => ({ ...task, args: ['second'] }))
      await engine.store(second)
      engine.release(idsOf(second))
      t.equal((await engine.find(failed.id))?.state, 'failed')
      ;(await hand.job(1)).end(COMPLETED)
      ;(await hand.job(2)).end(COMPLETED)
      const last = aTask()
      await put(engine, last)
      ;(await hand.job(3)).end(COMPLETED)
      await isCompleted(engine, last.id)

      t.strictSame(hand.jobs.map(({ task }) => [task.id, ...task.args]),
        [[failed.id], [first.id, 'first'], [waiting.id, 'first'], [last.id]])
    }
  },
  {
    says: 'D2: a task that is stored twice at a time is there once',
    async holds (t, bench) {
      const { engine, hand } = await bench.start({ concurrency: 1 })
      const [alone, twice, last] = someTasks(3)
      await engine.store([alone, alone])
      await Promise.all([engine.store([twice]), engine.store([twice, twice]), engine.store([twice, last])])
      engine.release(idsOf([alone, twice, last]))
      for (let i = 0; i < 3; i++) (await hand.job(i)).end(COMPLETED)
      for (const { id } of [alone, twice, last]) await isCompleted(engine, id)

      // Calls at a time have no order.
      t.strictSame(idsOf(hand.jobs.map(({ task }) => task)).toSorted(), idsOf([alone, twice, last]).toSorted())
      t.match(await engine.counts(), { queued: 0, active: 0 })
    }
  },
  {
    says: 'T1: a task of a local engine waits until it is released, also while others start',
    async holds (t, bench) {
      const { engine, hand } = await bench.start()
      const [held, free] = someTasks(2)
      await engine.store([held])
      await put(engine, free)
      const first = await hand.job(0)
      if (!engine.features.local) {
        t.equal(first.task.id, held.id)
        return
      }
      t.equal(first.task.id, free.id)
      first.end(COMPLETED)
      await isCompleted(engine, free.id)
      t.equal((await engine.find(held.id))?.state, 'queued')
      engine.release([held.id])
      engine.release([held.id, 'unknown'])
      t.equal((await hand.job(1)).task.id, held.id)
      t.equal(hand.jobs.length, 2)
    }
  },
  {
    says: 'L2: a closed engine stores nothing, says so, and may be closed again',
    async holds (t, bench) {
      const { engine } = await bench.start()
      await engine.close()
      await engine.close()

      await t.rejects(engine.store([aTask()]))
    }
  }
]
