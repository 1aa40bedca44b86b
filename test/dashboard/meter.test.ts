import t from 'tap'
import { Histogram } from '../../lib/dashboard/histogram'
import { Meter } from '../../lib/dashboard/meter'
import { Ring } from '../../lib/dashboard/ring'
import { createDashboard, openFeed } from '../helpers/dashboard'

t.setTimeout(60_000)

t.test('a quantile is at most 5 % from the truth, over the whole range', async (t) => {
  for (const ms of [0.01, 0.5, 1, 7, 123, 4_567, 60_000, 86_400_000]) {
    const histogram = new Histogram()
    histogram.record(ms)
    const quantile = histogram.quantile(0.5)!
    t.ok(Math.abs(quantile - ms) <= ms * 0.051, `${ms}: ${quantile}`)
  }
})

t.test('p50 and p99 are where they belong', async (t) => {
  const histogram = new Histogram()
  for (let ms = 1; ms <= 1_000; ms++) histogram.record(ms)
  t.ok(Math.abs(histogram.quantile(0.5)! - 500) <= 26)
  t.ok(Math.abs(histogram.quantile(0.99)! - 990) <= 51)
  t.ok(Math.abs(histogram.quantile(0)! - 1) <= 0.06)
  t.ok(Math.abs(histogram.quantile(1)! - 1_000) <= 51)
})

t.test('of nothing there is no quantile, of zeros it is zero, of what is too long the longest', async (t) => {
  const histogram = new Histogram()
  t.equal(histogram.quantile(0.5), null)
  histogram.record(0)
  t.equal(histogram.quantile(0.99), 0)
  histogram.clear()
  t.equal(histogram.quantile(0.5), null)
  histogram.record(1e12)
  t.ok(histogram.quantile(0.5)! > 86_400_000)
})

t.test('a second is there when it is over, with its own counts and times', async (t) => {
  let now = 10_000
  const meter = new Meter(() => now)
  meter.started(0)
  meter.ended('completed', 100)
  meter.ended('failed', 100)
  meter.ended('retrying', 100)
  meter.ended('cancelled', 100)
  t.strictSame(meter.since(0), [])
  now = 11_000
  meter.started(5)
  const [[time, completed, failed, queueP50, queueP99, durationP50, durationP99]] = meter.since(0)
  t.strictSame([time, completed, failed, queueP50, queueP99], [10, 1, 2, 0, 0])
  t.ok(Math.abs(durationP50! - 100) <= 5 && durationP50 === durationP99)
  now = 15_500
  t.match(meter.since(0), [[10], [11, 0, 0, Number, Number, null, null]], 'those without anything are left out')
  t.match(meter.since(11), [[11]])
  t.strictSame(meter.since(12), [])
})

t.test('five minutes are kept, and no more', async (t) => {
  let now = 0
  const meter = new Meter(() => now)
  for (let second = 1; second <= 1_000; second++) {
    now = second * 1_000
    meter.ended('completed', 1)
  }
  const seconds = meter.since(0)
  t.equal(seconds.length, 300)
  t.strictSame([seconds[0][0], seconds[299][0]], [700, 999])
})

t.test('a ring keeps the newest, the newest first', async (t) => {
  const ring = new Ring<number>(3)
  t.strictSame([...ring], [])
  ring.push(1)
  ring.push(2)
  t.strictSame([...ring], [2, 1])
  for (const each of [3, 4, 5]) ring.push(each)
  t.strictSame([...ring], [5, 4, 3])
  const none = new Ring<number>(0)
  none.push(1)
  t.strictSame([...none], [])
})

t.test('attempts are counted once each: synchronous, asynchronous, failed, retried, cancelled; those of other applications are not', async (t) => {
  const app = await createDashboard(t, { background: { backoff: { delay: 1 } } })
  const other = await createDashboard(t)
  const feed = await openFeed(t, app)
  const { addTask } = { addTask: app.background.addTask.bind(app.background) }
  addTask(() => {})
  addTask(async () => { await null })
  addTask(() => { throw new Error('at once') })
  addTask(async () => { throw new Error('later') })
  const cancelled = addTask(async function () { await new Promise((resolve) => { this.signal.addEventListener('abort', resolve) }) })
  other.background.addTask(() => {})
  addTask(() => { cancelled.cancel() })
  await app.background.idle()
  await other.background.idle()
  let completed = 0
  let failed = 0
  let last = 0
  await feed.until(({ seconds }) => {
    for (const [time, ...counts] of seconds) {
      if (time <= last) continue
      last = time
      completed += counts[0]
      failed += counts[1]
    }
    return completed + failed >= 5
  })
  t.strictSame([completed, failed], [3, 2])
})
