import timers from 'node:timers'
import t from 'tap'
import { createApp } from './helpers/app'

t.test('R2: a task that is added while a test has a fake clock runs, and those of other applications too', async (t) => {
  const app = await createApp(t)
  const { setImmediate } = timers
  const never = (() => {}) as unknown as typeof setImmediate
  timers.setImmediate = globalThis.setImmediate = never
  const run = app.background.addTask(() => {})
  timers.setImmediate = globalThis.setImmediate = setImmediate
  await run.finished()
  const other = await createApp(t)
  await other.background.addTask(() => {}).finished()

  t.equal(run.state, 'completed')
})
