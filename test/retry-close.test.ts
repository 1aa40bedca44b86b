import t from 'tap'
import background from '../lib/index'
import { createApp, memoryLogger } from './helpers/app'
import { counts } from './helpers/counts'
import { ask, assertCollected, use } from './helpers/held'
import { latch, until } from './helpers/latch'
import { AT_ONCE, IN_A_MINUTE, failing, onEvent, timers } from './helpers/policies'
import { serve } from './helpers/serve'

const { BackgroundTasks, defineTask } = background
const WARN = 40 // pino's level

for (const closeTimeout of [0, 20]) {
  t.test(`L1: at a closeTimeout of ${closeTimeout}, a run that would be tried again in a minute is cancelled, and what waits for it discarded`, async (t) => {
    const { logger, lines } = memoryLogger('warn')
    const app = await createApp(t, { closeTimeout, retries: 1, backoff: IN_A_MINUTE }, { logger })
    const before = timers()
    const runs: background.TaskRun[] = []
    await serve(app, (reply) => {
      runs.push(reply.background.addTask(failing(1)), reply.background.addTask(() => {}))
      runs.push(...reply.background.addTasks(new BackgroundTasks([() => {}])))
    })
    runs.push(app.background.addTask(failing(1)), ...app.background.addTasks(new BackgroundTasks([failing(1), () => {}])))
    await until(() => app.background.stats().retrying === 3)
    await app.close()

    t.strictSame(runs.map(({ state }) => state), ['cancelled', 'discarded', 'discarded', 'cancelled', 'cancelled', 'discarded'])
    t.strictSame(app.background.stats(), counts({ accepted: 6, cancelled: 3, discarded: 3 }))
    for (const run of runs) {
      t.match(run.error, { code: 'FST_ERR_BACKGROUND_CLOSED' })
      const [line, ...more] = lines.filter(({ taskId, msg }) => taskId === run.id && !msg.includes('to be tried again'))
      t.match(line, { level: WARN, task: run.name, msg: new RegExp(`^background task ${run.state}: .* when closeTimeout was over$`) })
      t.strictSame(more, [])
    }
    t.equal(timers(), before)
  })
}

t.test('L1: closing waits for a run that is retrying, and for what waits for it', async (t) => {
  const app = await createApp(t, { retries: 1, backoff: { delay: 20, jitter: false } })
  const runs: background.TaskRun[] = []
  await serve(app, (reply) => { runs.push(reply.background.addTask(failing(1)), reply.background.addTask(() => {})) })
  await until(() => runs[0].state === 'retrying')
  await app.close()

  t.strictSame(runs.map(({ state, attempt }) => [state, attempt]), [['completed', 2], ['completed', 1]])
})

t.test('L1: a run that is retrying when the plugins close is cancelled by the time that is left', async (t) => {
  const app = await createApp(t, { closeTimeout: 0, retries: 1, backoff: IN_A_MINUTE })
  let run!: background.TaskRun
  // Behind the plugin's own: what it aborts is aborted already.
  app.addHook('preClose', async () => {
    run = app.background.addTask(failing(1))
    await until(() => run.state === 'retrying')
  })
  await app.ready()
  await app.close()

  t.match(run, { state: 'cancelled', error: { code: 'FST_ERR_BACKGROUND_CLOSED' } })
})

t.test('L4: a run has a timer while it is retrying, and at no other time', async (t) => {
  const app = await createApp(t, { retries: 1, backoff: { delay: 5, jitter: false } })
  const before = timers()
  const go = latch()
  const at: Record<string, number> = {}
  onEvent(t, app, 'retrying', () => { at.retrying = timers() })
  const run = app.background.addTask(async function () {
    at[`attempt ${this.attempt}`] = timers()
    if (this.attempt === 1) throw new Error('broken')
    await go
  })
  await until(() => run.attempt === 2)
  go.open()
  await run.finished()

  t.strictSame(at, { 'attempt 1': before, retrying: before + 1, 'attempt 2': before })
  t.equal(timers(), before)
})

for (const [what, attempts, state] of [['completed', 1, 'completed'], ['failed', 2, 'failed']] as const) {
  t.test(`R6: a run that has ${what} after a retry holds neither request, reply nor arguments`, async (t) => {
    const app = await createApp(t, { retries: 1, backoff: AT_ONCE })
    let run!: background.TaskRun
    const held = await ask(app, (reply, argument) => {
      const task = defineTask(function (given: object, to: typeof reply) {
        use(given, to)
        if (this.attempt <= attempts) throw new Error('broken')
      })
      run = reply.background.addTask(task, argument, reply)
    })
    await app.background.idle()

    t.equal(run.state, state)
    t.equal(run.attempt, 2)
    await assertCollected(t, held)
  })
}
