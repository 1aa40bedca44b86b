import t from 'tap'
import { now, toEpoch } from '../lib/clock'
import { createApp } from './helpers/app'

t.test('the times of a run are whole milliseconds since the epoch', async (t) => {
  const app = await createApp(t)
  const before = Date.now()
  const run = await app.background.addTask(() => {}).finished()
  const times = [before, run.queuedAt, run.startedAt, run.finishedAt, Date.now()]

  t.strictSame(times, [...times].sort())
  t.ok(times.every(Number.isSafeInteger))
})

t.test('the clock goes on when a small integer no longer holds it', async (t) => {
  const MONTH = 30 * 24 * 3_600_000
  const real = Date.now
  t.teardown(() => { Date.now = real })
  const then = real() + MONTH
  Date.now = () => then

  t.equal(toEpoch(now()), then)
})
