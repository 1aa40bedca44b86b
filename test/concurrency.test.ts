import t from 'tap'
import type { FastifyReply } from 'fastify'
import background from '../lib/index'
import { createApp } from './helpers/app'
import { counts } from './helpers/counts'
import { latch, turn, until } from './helpers/latch'
import { assertSlots, kindsOf, Meter, occupy, settle } from './helpers/limited'
import { never } from './helpers/policies'
import { manyTurns } from './helpers/reply'

const { BackgroundTasks, defineTask } = background
type Adder = Pick<background.AppBackground, 'addTask' | 'addTasks'>

for (const concurrency of [1, 2, 3, Infinity]) {
  t.test(`R2: with a concurrency of ${concurrency}, as many runs are active as may be, and no more`, async (t) => {
    const app = await createApp(t, { concurrency })
    const places: Array<{ left: number, atOnce: number }> = []
    const ends: Array<() => void> = []
    const work = (runs: number, atOnce: number): Array<() => Promise<void>> => {
      const place = { left: runs, atOnce }
      places.push(place)
      return new Array(runs).fill(async () => {
        const go = latch()
        ends.push(go.open)
        await go
        place.left--
      })
    }
    const group = (runs: number, atOnce: number): background.BackgroundTasks =>
      new BackgroundTasks(work(runs, atOnce), { concurrency: atOnce })
    app.background.addTasks([...work(3, Infinity), group(4, 3), group(2, 1)])
    app.background.addTasks(work(1, 1))
    await settle(app,
      (reply) => { reply.background.addTasks(work(3, 1)) },
      (reply) => { reply.background.addTasks(group(4, 2)) },
      (reply) => { reply.background.addTasks(group(3, Infinity)) },
      (reply) => { reply.background.addTasks(work(1, 1)) })

    const atWork: number[] = []
    const startable: number[] = []
    for (let ended = 0; ended < 21; ended++) {
      await manyTurns()
      atWork.push(ends.length - ended)
      startable.push(Math.min(concurrency, places.reduce((sum, { left, atOnce }) => sum + Math.min(left, atOnce), 0)))
      ends[ended]()
    }
    await app.background.idle()
    t.strictSame(atWork, startable)
    t.strictSame(app.background.stats(), counts({ accepted: 21, completed: 21 }))
  })
}

t.test('R2: of runs of every kind, in every place, no more are active than concurrency says', async (t) => {
  const app = await createApp(t, { concurrency: 3 })
  const meter = new Meter()
  const most = { active: 0 }
  const begin = (): void => {
    meter.begin()
    most.active = Math.max(most.active, app.background.stats().active)
  }
  const kinds = kindsOf(app, begin, () => meter.end())
  const runs: background.TaskRun[] = []
  const tasks = [...kinds, ...kinds].map((task) => new background.BackgroundTask(task))
  const work = (reply: FastifyReply): void => {
    runs.push(...reply.background.addTasks([tasks[0], new BackgroundTasks(tasks, { concurrency: 5 }), ...tasks]))
  }
  runs.push(...app.background.addTasks([...tasks, new BackgroundTasks(tasks, { concurrency: Infinity }), ...tasks]))
  await settle(app, work, work, work)
  await app.background.idle()

  t.equal(meter.most, 3, 'functions')
  t.equal(most.active, 3, 'runs')
  t.equal(meter.atWork, 0)
  // Nine lists of twice eight kinds, and three more of the first: two kinds fail, one is cancelled.
  t.strictSame(app.background.stats(), counts({ accepted: 147, completed: 75, failed: 54, cancelled: 18 }))
  await assertSlots(app, 3)
})

t.test('R2: by default, and with Infinity, there is no limit', async (t) => {
  for (const options of [{}, { concurrency: Infinity }]) {
    const app = await createApp(t, options)
    const open = await occupy(app, 1_000)
    t.equal(app.background.stats().active, 1_000)
    open()
  }
})

t.test('R2: a group keeps to its own concurrency below that of the application, and the other way round', async (t) => {
  for (const [own, application] of [[2, 5], [5, 2]]) {
    const app = await createApp(t, { concurrency: application })
    const meter = new Meter()
    const work = async (): Promise<void> => {
      meter.begin()
      await turn()
      meter.end()
    }
    app.background.addTasks(new BackgroundTasks(new Array(20).fill(work), { concurrency: own }))
    await app.background.idle()
    t.equal(meter.most, 2)
    t.equal(meter.started, 20)
  }
})

t.test('R2: a run that waits for its next attempt takes no slot', async (t) => {
  const app = await createApp(t, { concurrency: 1, retries: 1, backoff: { delay: 60_000, jitter: false } })
  const run = app.background.addTask(() => { throw new Error('broken') })
  await until(() => run.state === 'retrying')
  const other = await app.background.addTask(() => 'done').finished()

  t.equal(other.result, 'done')
  t.equal(run.state, 'retrying')
  run.cancel()
})

for (const [what, end] of [
  ['timed out', (run: background.TaskRun) => run.finished()],
  ['was cancelled', (run: background.TaskRun) => run.cancel()]
] as const) {
  t.test(`R2: a function that goes on after its run ${what} takes no slot`, async (t) => {
    const app = await createApp(t, { concurrency: 1 })
    const started = latch()
    const go = latch()
    const ended = latch()
    const run = app.background.addTask(defineTask(async () => {
      started.open()
      await go
      ended.open()
    }, what === 'timed out' ? { timeout: 5 } : {}))
    await started
    await end(run)
    const open = await occupy(app, 1)
    const next = app.background.addTask(() => {})
    await manyTurns()
    t.equal(next.state, 'queued', 'the one slot is taken')

    go.open()
    await ended
    await manyTurns()
    t.equal(next.state, 'queued', 'the late end gives no slot back')
    open()
    await next.finished()
  })
}

t.test('T4: conditions are read although no slot is free, and a run that is discarded needs none', async (t) => {
  const app = await createApp(t, { concurrency: 1 })
  const open = await occupy(app, 1)
  const runs: background.TaskRun[] = []
  const noStart = (): void => { t.fail('a run that is not to start') }
  await settle(app, (reply) => {
    runs.push(
      reply.background.addTask(defineTask(noStart, { when: 'error' })),
      reply.background.addTask(defineTask(noStart, { when: () => false })),
      reply.background.addTask(defineTask(noStart, { when () { throw new Error('no condition') } })),
      ...reply.background.addTasks(new BackgroundTasks([defineTask(noStart, { when: 'error' }), () => {}])))
  }, (reply) => { runs.push(reply.background.addTask(defineTask(noStart, { when: 'error' }))) })

  t.strictSame(runs.map((run) => run.state), ['discarded', 'discarded', 'failed', 'discarded', 'queued', 'discarded'])
  t.match(app.background.stats(), { active: 1, queued: 1 })
  open()
  await app.background.idle()
  t.strictSame(app.background.stats(), counts({ accepted: 7, completed: 2, failed: 1, discarded: 4 }))
})

t.test('R2: runs that are cancelled in line start neither, nor do they cost a slot', async (t) => {
  const app = await createApp(t, { concurrency: 2 })
  const started: string[] = []
  const runs = new Map<string, background.TaskRun>()
  const note = (name: string) => () => { started.push(name) }
  const add = (to: Adder, name: string): void => {
    const [one, ...group] = to.addTasks([note(`${name}1`), new BackgroundTasks([note(`${name}2`), note(`${name}3`)], { concurrency: 2 })])
    for (const [i, run] of [one, ...group, to.addTask(note(`${name}4`))].entries()) runs.set(`${name}${i + 1}`, run)
  }
  const open = await occupy(app, 2)
  await settle(app, (reply) => add(reply.background, 'a'), (reply) => add(reply.background, 'b'))
  add(app.background, 'c')
  const cancelled = ['a1', 'a3', 'b1', 'b2', 'b3', 'b4', 'c1', 'c2']
  for (const name of cancelled) t.equal(runs.get(name)!.cancel(), true)
  open()
  await app.background.idle()

  t.strictSame(started.sort(), ['a2', 'a4', 'c3', 'c4'])
  t.strictSame(app.background.stats(), counts({ accepted: 14, completed: 6, cancelled: 8 }))
  await assertSlots(app, 2)
})

t.test('R2: with all that waits in line cancelled, what comes next starts', async (t) => {
  const app = await createApp(t, { concurrency: 1 })
  const open = await occupy(app, 1)
  const runs: background.TaskRun[] = []
  const noStart = (): void => { t.fail('a cancelled run that starts') }
  let late!: FastifyReply
  await settle(app, (reply) => {
    late = reply
    runs.push(...reply.background.addTasks([noStart, new BackgroundTasks([noStart, noStart], { concurrency: 2 }), noStart]))
  })
  runs.push(...app.background.addTasks([noStart, new BackgroundTasks([noStart, noStart]), noStart]))
  for (const run of runs) run.cancel()
  t.equal(late.background.size, 0)
  open()
  const next = [late.background.addTask(() => 'of the reply'), app.background.addTask(() => 'outside')]
  await app.background.idle()

  t.strictSame(next.map((run) => run.result), ['of the reply', 'outside'])
  await assertSlots(app, 1)
})

t.test('R5: a run that is cancelled when its wait is over, and stands in line, does not start and costs no slot', async (t) => {
  const app = await createApp(t, { concurrency: 1 })
  let attempts = 0
  const run = app.background.addTask(defineTask(() => {
    attempts++
    throw new Error('broken')
  }, { retries: 1, backoff: { delay: 0 } }))
  const open = await occupy(app, 1)
  await afterTimers()
  t.equal(run.state, 'retrying')
  t.equal(run.cancel(), true)
  open()
  await app.background.idle()
  await assertSlots(app, 1)

  t.equal(attempts, 1)
  t.equal(run.state, 'cancelled')
})

t.test('L1: an application that closes works off its line', async (t) => {
  const app = await createApp(t, { concurrency: 2 })
  const meter = new Meter()
  const work = async (): Promise<void> => {
    meter.begin()
    await turn()
    meter.end()
  }
  const add = (to: Adder): unknown => to.addTasks([work, new BackgroundTasks([work, work, work], { concurrency: 3 }), work])
  const open = await occupy(app, 2)
  await settle(app, (reply) => add(reply.background), (reply) => add(reply.background))
  add(app.background)
  const closed = app.close()
  open()
  await closed

  t.strictSame(app.background.stats(), counts({ accepted: 17, completed: 17 }))
  t.equal(meter.most, 2)
})

t.test('L1: at the deadline all that stands in line is ended, and nothing of it starts', async (t) => {
  const app = await createApp(t, { concurrency: 1, closeTimeout: 20 })
  const noStart = (): void => { t.fail('a run that starts after the deadline') }
  const add = (to: Adder): unknown =>
    to.addTasks([noStart, new BackgroundTasks([noStart, noStart, noStart], { concurrency: 3 }), noStart])
  const retrying = app.background.addTask(defineTask(() => { throw new Error('broken') }, { retries: 1, backoff: { delay: 0 } }))
  const atWork = app.background.addTask(never)
  await until(() => atWork.state === 'active')
  await settle(app, (reply) => add(reply.background), (reply) => add(reply.background))
  add(app.background)
  await afterTimers()
  t.equal(retrying.state, 'retrying')
  await app.close()
  await manyTurns()

  t.equal(atWork.state, 'cancelled')
  t.match(retrying, { state: 'cancelled', attempt: 1 })
  t.strictSame(app.background.stats(), counts({ accepted: 17, cancelled: 2, discarded: 15 }))
})

t.test('R2: 100,000 runs with a concurrency of 10 are all completed, ten at a time', async (t) => {
  const app = await createApp(t, { concurrency: 10 })
  const meter = new Meter()
  const asyncWork = async (): Promise<void> => {
    meter.begin()
    await null
    meter.end()
  }
  const longWork = async (): Promise<void> => {
    meter.begin()
    await turn()
    meter.end()
  }
  const syncWork = (): void => {
    meter.begin()
    meter.end()
  }
  const works = [asyncWork, syncWork, asyncWork, syncWork, longWork]
  const list = (length: number): Array<() => unknown> => Array.from({ length }, (_, i) => works[i % works.length])
  await settle(app,
    (reply) => { reply.background.addTasks(list(10_000)) },
    (reply) => { reply.background.addTasks(new BackgroundTasks(list(40_000), { concurrency: Infinity })) })
  app.background.addTasks(new BackgroundTasks(list(25_000), { concurrency: 20 }))
  for (const work of list(25_000)) app.background.addTask(work)
  await app.background.idle()

  t.strictSame(app.background.stats(), counts({ accepted: 100_000, completed: 100_000 }))
  t.equal(meter.started, 100_000)
  t.equal(meter.most, 10)
})

t.test('R2: two applications do not share their limits', async (t) => {
  const full = await createApp(t, { concurrency: 1 })
  const other = await createApp(t, { concurrency: 1 })
  const open = await occupy(full, 1)
  const waiting = full.background.addTask(() => {})

  t.equal((await other.background.addTask(() => 'done').finished()).result, 'done')
  t.equal(waiting.state, 'queued')
  open()
  await waiting.finished()
})

/** When timers of 0 ms that are set by now have fired: one that is set later, and for longer, fires behind them. */
function afterTimers (): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 5))
}
