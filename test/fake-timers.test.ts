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

t.test('autorun: runAll comes to its end while a test has a fake clock', async (t) => {
  const app = await createApp(t, { autorun: false })
  const run = app.background.addTask(() => {})
  const { setImmediate } = timers
  timers.setImmediate = globalThis.setImmediate = (() => {}) as unknown as typeof setImmediate
  t.teardown(() => { timers.setImmediate = globalThis.setImmediate = setImmediate })
  await app.background.runAll()
  t.equal(run.state, 'completed')
})
