import t from 'tap'
import background from '../lib/index'
import { createApp, memoryLogger } from './helpers/app'
import { counts } from './helpers/counts'
import { latch, until } from './helpers/latch'
import { never } from './helpers/policies'
import { manyTurns } from './helpers/reply'
import { serve } from './helpers/serve'
import { unhandledRejections } from './helpers/unhandled'

const { BackgroundTasks } = background
const WARN = 40 // pino's level

for (const closeTimeout of [20, 0]) {
  t.test(`L1: at a closeTimeout of ${closeTimeout} what is left is aborted, in every place, and close resolves`, async (t) => {
    const ran: string[] = []
    const note = (name: string): void => { ran.push(name) }
    const app = await createApp(t, { closeTimeout })
    const runs: background.TaskRun[] = []
    await serve(app, (reply) => {
      runs.push(
        reply.background.addTask(() => note('before')),
        ...reply.background.addTasks(new BackgroundTasks([never, never, () => note('third in the group')], { concurrency: 2 })),
        reply.background.addTask(() => note('behind the group')),
        ...reply.background.addTasks(new BackgroundTasks([() => note('in a group behind')])))
    })
    runs.push(app.background.addTask(never), ...app.background.addTasks(new BackgroundTasks([never, () => note('in a group outside')])))
    await until(() => app.background.stats().active === 4)
    await app.close()

    t.strictSame(runs.map((run) => run.state), [
      'completed', 'cancelled', 'cancelled', 'discarded', 'discarded', 'discarded', 'cancelled', 'cancelled', 'discarded'
    ])
    t.strictSame(app.background.stats(), counts({ accepted: 9, completed: 1, cancelled: 4, discarded: 4 }))
    await app.background.idle()
    for (const run of runs) t.equal(await run.finished(), run)
    await manyTurns()
    t.strictSame(ran, ['before'])
  })
}

t.test('L1: at the deadline each run that is aborted is logged with its name and id, and nothing is an error', async (t) => {
  const { logger, lines } = memoryLogger('warn')
  const errors: unknown[] = []
  const app = await createApp(t, { closeTimeout: 20, onTaskError: (error) => { errors.push(error) } }, { logger })
  const runs: background.TaskRun[] = []
  await serve(app, (reply) => {
    runs.push(
      reply.background.addTask(function atWork () { return never() }),
      reply.background.addTask(function waiting () {}))
  })
  runs.push(app.background.addTask(function outside () { return never() }))
  await until(() => app.background.stats().active === 2)
  await app.close()

  t.match(sortedBy('task', lines), [
    { level: WARN, task: 'atWork', taskId: runs[0].id, reqId: 'req-1', msg: /^background task cancelled/ },
    { level: WARN, task: 'outside', taskId: runs[2].id, msg: /^background task cancelled/ },
    { level: WARN, task: 'waiting', taskId: runs[1].id, reqId: 'req-1', msg: /^background task discarded/ }
  ])
  t.equal(lines.length, 3)
  t.strictSame(errors, [])
})

t.test('L1: a logger that throws does not keep the application from closing', async (t) => {
  const app = await createApp(t, { closeTimeout: 0 }, { logger: { level: 'warn', stream: { write () { throw new Error('no stream') } } } })
  const runs = app.background.addTasks([never, never])
  await until(() => app.background.stats().active === 2)
  await app.close()

  t.strictSame(runs.map((run) => run.state), ['cancelled', 'cancelled'])
})

t.test('L1: the deadline comes before any plugin closes', async (t) => {
  const app = await createApp(t, { closeTimeout: 20 })
  const run = app.background.addTask(never)
  const states: string[] = []
  app.addHook('preClose', async () => { states.push(run.state) })
  await until(() => run.state === 'active')
  await app.close()

  t.strictSame(states, ['cancelled'])
})

for (const [what, settle] of [
  ['result', (go: Promise<void>) => go.then(() => 'late')],
  ['rejection', (go: Promise<void>) => go.then(() => { throw new Error('late') })]
] as const) {
  t.test(`R5: the late ${what} of a run that was cancelled is ignored`, async (t) => {
    const unhandled = unhandledRejections(t)
    const { logger, lines } = memoryLogger('error')
    const errors: unknown[] = []
    const go = latch()
    const app = await createApp(t, { closeTimeout: 0, onTaskError: (error) => { errors.push(error) } }, { logger })
    const run = app.background.addTask(() => settle(go))
    await until(() => run.state === 'active')
    await app.close()
    const { finishedAt } = run
    go.open()
    await manyTurns()

    t.match(run, { state: 'cancelled', result: undefined, error: { code: 'FST_ERR_BACKGROUND_CLOSED' } })
    t.equal(run.finishedAt, finishedAt)
    t.strictSame(app.background.stats(), counts({ accepted: 1, cancelled: 1 }))
    t.strictSame([lines, errors, unhandled], [[], [], []])
  })
}

t.test('L2: a task that was cancelled, and goes on, cannot add more after the close', async (t) => {
  const unhandled = unhandledRejections(t)
  const go = latch()
  const refused: unknown[] = []
  const app = await createApp(t, { closeTimeout: 0 })
  let run!: background.TaskRun
  await serve(app, (reply) => {
    run = reply.background.addTask(async () => {
      await go
      for (const { background } of [reply, app]) {
        try {
          background.addTask(() => {})
        } catch (error) {
          refused.push((error as { code: string }).code)
        }
      }
    })
  })
  await until(() => run.state === 'active')
  await app.close()
  go.open()
  await manyTurns()

  t.strictSame(refused, ['FST_ERR_BACKGROUND_CLOSED', 'FST_ERR_BACKGROUND_CLOSED'])
  t.strictSame(app.background.stats(), counts({ accepted: 1, cancelled: 1 }))
  t.strictSame(unhandled, [])
})

t.test('L2: what a cancelled task adds before the close is over is run', async (t) => {
  const app = await createApp(t, { closeTimeout: 20 })
  const aborted = latch()
  const added = latch<background.TaskRun>()
  const run = app.background.addTask(async () => {
    await aborted
    added.open(app.background.addTask(() => 'done'))
    await never()
  })
  // Behind the plugin's own hook, which has aborted the run.
  app.addHook('preClose', async () => {
    aborted.open()
    await added
  })
  await until(() => run.state === 'active')
  await app.close()

  t.equal(run.state, 'cancelled')
  t.equal((await added).result, 'done')
})

t.test('L1: a closeTimeout above pluginTimeout neither fails the close nor ends sooner', async (t) => {
  const app = await createApp(t, { closeTimeout: 1200 }, { pluginTimeout: 1000 })
  const states: string[] = []
  const run = app.background.addTask(never)
  app.addHook('preClose', async () => { states.push(run.state) })
  await until(() => run.state === 'active')
  await t.resolves(Promise.resolve(app.close()))

  t.strictSame(states, ['cancelled'], 'the deadline was reached before the plugins closed')
})

t.test('L1: without a pluginTimeout the application waits, and closes at the deadline', async (t) => {
  const app = await createApp(t, { closeTimeout: 20 }, { pluginTimeout: 0 })
  const states: string[] = []
  const run = app.background.addTask(never)
  app.addHook('preClose', async () => { states.push(run.state) })
  await until(() => run.state === 'active')
  await app.close()

  t.strictSame(states, ['cancelled'])
})

function sortedBy<T extends Record<string, unknown>> (key: string, items: T[]): T[] {
  return [...items].sort((a, b) => String(a[key]).localeCompare(String(b[key])))
}
