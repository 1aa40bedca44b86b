import t from 'tap'
import type { FastifyInstance } from 'fastify'
import background from '../lib/index'
import { createApp, memoryLogger } from './helpers/app'
import { counts } from './helpers/counts'
import { trap } from './helpers/hostile'
import { latch, turn, until } from './helpers/latch'
import { AT_ONCE, IN_A_MINUTE, atWork, never, timers } from './helpers/policies'
import { manyTurns } from './helpers/reply'
import { serve } from './helpers/serve'
import { unhandledRejections } from './helpers/unhandled'

const { BackgroundTasks, defineTask } = background
const INFO = 30 // pino's level

/** Work that notes that it ran: it is not to. */
type NotToRun = () => void

/** Brings a run to where it is to be cancelled, and lets it go on from there. */
interface Place { run: background.TaskRun, attempt: number, goOn?: () => unknown }

const places: Record<string, (app: FastifyInstance, notToRun: NotToRun) => Promise<Place>> = {
  'is queued in a reply that is open': async (app, notToRun) => {
    const [added, answer] = [latch<background.TaskRun>(), latch()]
    const served = serve(app, async (reply) => {
      added.open(reply.background.addTask(notToRun))
      await answer
    })
    return { run: await added, attempt: 0, goOn: async () => { answer.open(); await served } }
  },
  'is queued behind another run of its reply': async (app, notToRun) => {
    const go = latch()
    const [first, run] = await fill(app, (reply) => [reply.addTask(() => go), reply.addTask(notToRun)])
    await until(() => first.state === 'active')
    return { run, attempt: 0, goOn: go.open }
  },
  'is queued in a group': async (app, notToRun) => {
    const go = latch()
    const [first, run] = await fill(app, (reply) => reply.addTasks(new BackgroundTasks([() => go, notToRun, () => {}])))
    await until(() => first.state === 'active')
    return { run, attempt: 0, goOn: go.open }
  },
  'is queued in a group behind another run': async (app, notToRun) => {
    const go = latch()
    const [first, run] = await fill(app, (reply) => reply.addTasks([() => go, new BackgroundTasks([notToRun])]))
    await until(() => first.state === 'active')
    return { run, attempt: 0, goOn: go.open }
  },
  'has just been added outside a request': async (app, notToRun) => {
    return { run: app.background.addTask(notToRun), attempt: 0 }
  },
  'waits for a place of the concurrency, outside a request': async (app, notToRun) => {
    const go = latch()
    const first = app.background.addTask(() => go)
    await until(() => first.state === 'active')
    const run = app.background.addTask(notToRun)
    await manyTurns()
    return { run, attempt: 0, goOn: go.open }
  },
  'waits for a place of the concurrency, in a reply': async (app, notToRun) => {
    const go = latch()
    const first = app.background.addTask(() => go)
    await until(() => first.state === 'active')
    const [run] = await fill(app, (reply) => [reply.addTask(notToRun)])
    await manyTurns()
    return { run, attempt: 0, goOn: go.open }
  },
  'waits for a place of the concurrency, in a group': async (app, notToRun) => {
    const go = latch()
    const first = app.background.addTask(() => go)
    await until(() => first.state === 'active')
    const [run] = app.background.addTasks(new BackgroundTasks([notToRun]))
    await manyTurns()
    return { run, attempt: 0, goOn: go.open }
  },
  'is active': async (app) => {
    const [run] = await fill(app, (reply) => [reply.addTask(never)])
    await until(() => run.state === 'active')
    return { run, attempt: 1 }
  },
  'is active in a group': async (app) => {
    const [run] = await fill(app, (reply) => reply.addTasks(new BackgroundTasks([never, () => {}])))
    await until(() => run.state === 'active')
    return { run, attempt: 1 }
  },
  'is retrying': async (app, notToRun) => {
    const [run] = await fill(app, (reply) => [reply.addTask(again(notToRun, IN_A_MINUTE))])
    await until(() => run.state === 'retrying')
    return { run, attempt: 1 }
  },
  'is retrying in a group': async (app, notToRun) => {
    const [run] = app.background.addTasks(new BackgroundTasks([again(notToRun, IN_A_MINUTE), () => {}]))
    await until(() => run.state === 'retrying')
    return { run, attempt: 1 }
  },
  'waits for a place of the concurrency for its next attempt': async (app, notToRun) => {
    const go = latch()
    const [run, other] = app.background.addTasks([again(notToRun, AT_ONCE), () => go])
    await until(() => run.state === 'retrying' && other.state === 'active')
    // Timers come in their order: when this one does, that of the run has.
    await new Promise((resolve) => setTimeout(resolve, 5))
    return { run, attempt: 1, goOn: go.open }
  },
  'is active in its second attempt': async (app) => {
    const run = app.background.addTask(again(never, AT_ONCE))
    await until(() => run.attempt === 2)
    return { run, attempt: 2 }
  }
}

for (const [place, bring] of Object.entries(places)) {
  t.test(`R5: a run that ${place} is cancelled at once, once, and all others go on`, async (t) => {
    const { logger, lines } = memoryLogger('info')
    const errors: unknown[] = []
    const app = await createApp(t, { concurrency: 1, onTaskError: (error) => { errors.push(error) } }, { logger })
    const before = timers()
    let ran = 0
    const { run, attempt, goOn } = await bring(app, () => { ran++ })
    const finished = run.finished()
    const { id } = run
    lines.length = 0
    const reason = new Error('nobody looks any more')

    t.equal(run.cancel(reason), true)
    t.match(run, { state: 'cancelled', attempt, result: undefined, finishedAt: Number })
    t.equal(run.error, reason)
    t.equal(run.cancel(new Error('another')), false)
    t.equal(run.error, reason)
    t.equal(await finished, run)
    t.equal(app.background.get(id), undefined)
    t.match(lines, [{ level: INFO, task: run.name, taskId: id, msg: /^background task cancelled$/ }])
    t.equal(lines.length, 1)

    await goOn?.()
    await manyTurns()
    await app.background.addTask(() => {}).finished()
    await app.background.idle()
    await manyTurns()
    const { accepted } = app.background.stats()
    t.strictSame(app.background.stats(), counts({ accepted, completed: accepted - 1, cancelled: 1 }))
    t.equal(ran, 0, 'nothing of it has run since')
    t.strictSame(errors, [])
    t.equal(lines.filter(({ msg }) => msg.startsWith('background task')).length, 1)
    t.equal(timers(), before)
  })
}

for (const [what, reason] of [
  ['null', null], ['a string', 'enough'], ['0', 0], ['a symbol', Symbol('enough')], ['an error', new Error('enough')],
  ['a proxy whose traps throw', new Proxy({}, { get: trap, has: trap, getPrototypeOf: trap })]
] as const) {
  t.test(`R5: ${what} as the reason is the run's error and the reason of its signal, as it is`, async (t) => {
    const app = await createApp(t)
    const { run, signal } = await atWork(app)
    run.cancel(reason)

    t.equal(signal.aborted, true)
    t.ok(Object.is(signal.reason, reason))
    t.ok(Object.is(run.error, reason))
  })
}

for (const args of [[], [undefined]]) {
  t.test(`R5: without a reason (${args.length} arguments) it is a DOMException named AbortError`, async (t) => {
    const app = await createApp(t)
    const { run, signal } = await atWork(app)
    run.cancel(...args)

    t.ok(run.error instanceof DOMException)
    t.equal((run.error as Error).name, 'AbortError')
    t.equal(signal.reason, run.error)
  })
}

for (const [state, task] of [['completed', () => 'done'], ['failed', () => { throw new Error('broken') }], ['discarded', null]] as const) {
  t.test(`R5: a run that is ${state} cannot be cancelled`, async (t) => {
    const { logger, lines } = memoryLogger('info')
    const app = await createApp(t, {}, { logger })
    let run!: background.TaskRun
    await serve(app, (reply) => { run = reply.background.addTask(task ?? defineTask(() => {}, { when: 'error' })) })
    const { error, result, finishedAt } = await run.finished()

    t.equal(run.state, state)
    t.equal(run.cancel('too late'), false)
    t.match(run, { state, result, finishedAt })
    t.equal(run.error, error)
    t.strictSame(app.background.stats(), counts({ accepted: 1, [state]: 1 }))
    t.strictSame(lines.filter(({ msg }) => msg.includes('cancelled')), [])
  })
}

t.test('R5: the run is cancelled, and that is logged, before what listens to its signal is called', async (t) => {
  const { logger, lines } = memoryLogger('info')
  const app = await createApp(t, {}, { logger })
  const seen: unknown[] = []
  const run: background.TaskRun = app.background.addTask(function () {
    this.signal.addEventListener('abort', () => { seen.push(run.state, lines.length, run.cancel('again')) })
    return never()
  })
  await until(() => run.state === 'active')
  run.cancel('enough')

  t.strictSame(seen, ['cancelled', 1, false])
  t.match(run.error, 'enough')
})

t.test('R5: a signal that is first read after the cancel is aborted already', async (t) => {
  const app = await createApp(t)
  let context!: background.TaskContext
  const run = app.background.addTask(function () { context = this; return never() })
  await until(() => run.state === 'active')
  run.cancel('enough')

  t.match(context.signal, { aborted: true, reason: 'enough' })
})

for (const [how, end] of [
  ['returns', () => 'result'],
  ['throws', () => { throw new Error('broken') }],
  ['resolves', async () => { await turn(); return 'result' }],
  ['rejects', async () => { await turn(); throw new Error('broken') }]
] as const) {
  t.test(`R5: a task that cancels itself in its synchronous part, and then ${how}, is cancelled, and the next starts`, async (t) => {
    const unhandled = unhandledRejections(t)
    const { logger, lines } = memoryLogger('info')
    const app = await createApp(t, { retries: 1, backoff: AT_ONCE }, { logger })
    const seen: unknown[] = []
    let run!: background.TaskRun
    await serve(app, (reply) => {
      run = reply.background.addTask(function () {
        seen.push(run.cancel('by itself'), this.signal.aborted, this.signal.reason)
        return end()
      })
      reply.background.addTasks([new BackgroundTasks([() => { seen.push('next') }])])
    })
    await app.background.idle()
    await manyTurns()

    t.strictSame(seen, [true, true, 'by itself', 'next'])
    t.match(run, { state: 'cancelled', attempt: 1, error: 'by itself', result: undefined })
    t.strictSame(app.background.stats(), counts({ accepted: 2, cancelled: 1, completed: 1 }))
    t.strictSame(lines.map(({ msg }) => msg).filter((msg) => msg.startsWith('background')), ['background task cancelled'])
    t.strictSame(unhandled, [])
  })
}

for (const [what, settle] of [['result', () => 'late'], ['rejection', () => { throw new Error('late') }]] as const) {
  t.test(`R5: the late ${what} of a run that was cancelled by a call is ignored`, async (t) => {
    const unhandled = unhandledRejections(t)
    const { logger, lines } = memoryLogger('warn')
    const app = await createApp(t, { retries: 1, concurrency: 1 }, { logger })
    const [go, next] = [latch(), latch()]
    const run = app.background.addTask(() => go.then(settle))
    await until(() => run.state === 'active')
    run.cancel('enough')
    const { finishedAt } = run
    const [other, last] = app.background.addTasks([() => next, () => {}])
    await until(() => other.state === 'active')
    go.open()
    await manyTurns()

    t.match(run, { state: 'cancelled', error: 'enough', result: undefined, finishedAt })
    t.equal(last.state, 'queued', 'it frees nothing')
    next.open()
    await app.background.idle()
    t.strictSame(app.background.stats(), counts({ accepted: 3, cancelled: 1, completed: 2 }))
    t.strictSame([lines, unhandled], [[], []])
  })
}

t.test('R5: a logger that throws does not keep a run from being cancelled', async (t) => {
  const app = await createApp(t, {}, { logger: { level: 'info', stream: { write: trap } } })
  const { run, signal } = await atWork(app)

  t.equal(run.cancel(), true)
  t.equal(signal.aborted, true)
  await app.background.idle()
})

/** The runs of one reply that has left. */
async function fill (
  app: FastifyInstance, add: (background: background.ReplyBackground) => background.TaskRun[]
): Promise<background.TaskRun[]> {
  let runs: background.TaskRun[] = []
  await serve(app, (reply) => { runs = add(reply.background) })
  return runs
}

/** A task that fails, and is something else when it is tried again. */
function again (task: () => unknown, backoff: background.Backoff): background.TaskDefinition<[]> {
  return defineTask(function () {
    if (this.attempt === 1) throw new Error('broken')
    return task()
  }, { retries: 1, backoff })
}
