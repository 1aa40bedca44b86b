import t from 'tap'
import background from '../lib/index'
import { createApp } from './helpers/app'
import { counts } from './helpers/counts'
import { latch, until } from './helpers/latch'
import { onEvent } from './helpers/policies'
import { manyTurns } from './helpers/reply'
import { serve } from './helpers/serve'
import { uncaughtExceptions, unhandledRejections } from './helpers/unhandled'

const { BackgroundTask, defineTask } = background

t.test('R5: tasks that a route\'s function returns when it has been timed out are not added', async (t) => {
  const app = await createApp(t)
  const go = latch()
  const ran: string[] = []
  const task = defineTask(async () => {
    await go
    return new BackgroundTask(() => { ran.push('not to run') })
  }, { timeout: 5 })
  app.get('/', { background: task }, async () => 'ok')
  await app.inject('/')
  await app.background.idle()
  go.open()
  await manyTurns()

  t.strictSame(ran, [])
  t.strictSame(app.background.stats(), counts({ accepted: 1, failed: 1 }))
})

for (const [how, settle] of [
  ['returns', (task: background.BackgroundTask) => task],
  ['resolves with', async (task: background.BackgroundTask) => task]
] as const) {
  t.test(`R5: a task that a route's function ${how} when it has cancelled itself is not added`, async (t) => {
    const app = await createApp(t)
    const runs: background.TaskRun[] = []
    const ran: string[] = []
    onEvent(t, app, 'queued', ({ run }) => { runs.push(run) })
    app.get('/', {
      background () {
        runs[0].cancel()
        return settle(new BackgroundTask(() => { ran.push('not to run') }))
      }
    }, async () => 'ok')
    await app.inject('/')
    await app.background.idle()
    await manyTurns()

    t.strictSame(ran, [])
    t.strictSame(app.background.stats(), counts({ accepted: 1, cancelled: 1 }))
  })
}

for (const [what, promise] of [
  ['resolves', async () => true],
  ['rejects', async () => { throw new Error('no condition') }]
] as const) {
  t.test(`R5: a condition that cancels its own run and then returns a promise that ${what} harms nothing`, async (t) => {
    const [uncaught, unhandled] = [uncaughtExceptions(t), unhandledRejections(t)]
    const app = await createApp(t)
    let run!: background.TaskRun
    let next!: background.TaskRun
    const cancelsItself = defineTask(() => {}, {
      when () {
        run.cancel('enough')
        return promise() as unknown as boolean
      }
    })
    await serve(app, (reply) => {
      run = reply.background.addTask(cancelsItself)
      next = reply.background.addTask(() => 'went on')
    })
    await until(() => uncaught.length > 0 || next.state === 'completed')
    await manyTurns()

    t.match(run, { state: 'cancelled', error: 'enough' })
    t.strictSame([uncaught, unhandled], [[], []])
    t.strictSame(app.background.stats(), counts({ accepted: 2, cancelled: 1, completed: 1 }))
  })
}
