import t from 'tap'
import background from '../lib/index'
import { createApp } from './helpers/app'
import { latch } from './helpers/latch'
import { manyTurns } from './helpers/reply'
import { serve } from './helpers/serve'
import { record } from './helpers/task-events'

const { BackgroundTask, BackgroundTasks, defineTask } = background

const ways = {
  'a task': (task) => [task],
  'a group': (task) => new BackgroundTasks([task])
} satisfies Record<string, (task: background.BackgroundTask) => unknown>

for (const [what, wrap] of Object.entries(ways)) {
  t.test(`events: ${what} that is added when the reply has settled, and whose condition is not met, is queued, then discarded`, async (t) => {
    const app = await createApp(t)
    const { lines } = record(t, app)
    const added = latch()
    const onError = new BackgroundTask(defineTask(() => {}, { name: 'late', when: 'error' }))
    await serve(app, (reply) => {
      reply.background.addTask(async function first () {
        // The conditions have been read.
        await manyTurns()
        reply.background.addTasks(wrap(onError) as never)
        reply.background.addTask(function last () {})
        added.open()
      })
    })
    await added
    await app.background.idle()

    t.strictSame(lines('late'), ['queued queued', 'discarded discarded'])
    t.match(app.background.stats(), { accepted: 3, completed: 2, discarded: 1 })
  })
}
