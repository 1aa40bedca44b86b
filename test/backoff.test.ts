import t from 'tap'
import background from '../lib/index'
import { retryDelay } from '../lib/backoff'
import { resolvePolicy } from '../lib/policy'
import { createApp, memoryLogger } from './helpers/app'
import { until } from './helpers/latch'
import { AT_ONCE, MINUTE } from './helpers/policies'

const { RetryAfterError, UnrecoverableError, defineTask } = background
const MAX_DELAY = 2_147_483_647

t.test('R3: after an UnrecoverableError there is no further attempt', async (t) => {
  class Declined extends UnrecoverableError {}
  const app = await createApp(t, { retries: 5, backoff: AT_ONCE })
  for (const error of [new UnrecoverableError('declined'), new Declined('declined', { cause: 'no money' })]) {
    const run = await app.background.addTask(async function () { throw this.attempt === 1 ? new Error('broken') : error }).finished()
    t.match(run, { state: 'failed', attempt: 2 })
    t.equal(run.error, error)
  }
  t.match(new UnrecoverableError('declined', { cause: 1 }), { name: 'UnrecoverableError', message: 'declined', cause: 1 })
})

t.test('R3: after a RetryAfterError the wait is what it says, whatever the backoff', async (t) => {
  const { logger, lines } = memoryLogger('warn')
  const app = await createApp(t, { backoff: { delay: 1, max: 1, jitter: true } }, { logger })
  for (const delay of [0, 1234, MINUTE * 2, MAX_DELAY]) {
    const task = defineTask(() => { throw new RetryAfterError(delay) }, { retries: 1_000_000 })
    const written = lines.length
    const run = app.background.addTask(task)
    await until(() => lines.length > written)
    run.cancel()
    t.equal(lines[written].msg, `background task failed, to be tried again in ${delay} ms`)
  }
  t.match(new RetryAfterError(5), { name: 'RetryAfterError', message: 'try again in 5 ms', delay: 5, cause: undefined })
  t.match(new RetryAfterError(5, 'busy', { cause: 1 }), { message: 'busy', delay: 5, cause: 1 })
  t.ok(new RetryAfterError(5) instanceof Error)
})

t.test('R3: a RetryAfterError gives no further attempt beyond retries', async (t) => {
  const app = await createApp(t, { retries: 1 })
  const run = await app.background.addTask(() => { throw new RetryAfterError(0) }).finished()

  t.match(run, { state: 'failed', attempt: 2, error: { name: 'RetryAfterError' } })
})

t.test('a RetryAfterError takes no other wait than a timer does; a task that makes such a one has failed as any', async (t) => {
  for (const [delay, got] of [
    [-1, 'number -1'], [0.5, 'number 0.5'], [NaN, 'number NaN'], [Infinity, 'number Infinity'], [MAX_DELAY + 1, 'number 2147483648'],
    ['1', '"1"'], [undefined, 'undefined'], [null, 'null'], [1n, 'bigint 1'], [new Date(0), 'an object']
  ] as const) {
    t.throws(() => new RetryAfterError(delay as never), {
      code: 'FST_ERR_BACKGROUND_INVALID_OPTION', message: `Option "delay": expected an integer of milliseconds from 0 to 2147483647, got ${got}`
    })
  }
  const app = await createApp(t, { retries: 1, backoff: AT_ONCE })
  const run = await app.background.addTask(() => { throw new RetryAfterError(NaN) }).finished()

  t.match(run, { state: 'failed', attempt: 2, error: { code: 'FST_ERR_BACKGROUND_INVALID_OPTION' } })
})

t.test('the wait is delay * factor ** (attempt - 1), at most max, and there is none without retries', async (t) => {
  const waits = (backoff: background.Backoff, ...attempts: number[]): Array<number | undefined> => {
    const policy = resolvePolicy({ retries: 1_000_000, backoff: { jitter: false, ...backoff } })
    return attempts.map((attempt) => retryDelay(policy, attempt, new Error('broken')))
  }
  t.strictSame(waits({}, 1, 2, 3, 4, 6, 7, 8), [1000, 2000, 4000, 8000, 32_000, 60_000, 60_000])
  t.strictSame(waits({ delay: 10, factor: 1 }, 1, 2, 1_000_000), [10, 10, 10])
  t.strictSame(waits({ delay: 3, factor: 1.5 }, 1, 2, 3), [3, 5, 7], 'in whole milliseconds')
  t.strictSame(waits({ delay: 100, max: 50 }, 1, 2), [50, 50])
  t.strictSame(waits({ delay: 100, max: 0 }, 1, 2), [0, 0])
  t.strictSame(waits({ delay: 0, factor: 1000 }, 1, 2, 1000, 1_000_000), [0, 0, 0, 0], 'not NaN, which 0 times infinity is')
  t.strictSame(waits({ delay: MAX_DELAY, factor: 1000, max: MAX_DELAY }, 1, 1000, 1_000_000), [MAX_DELAY, MAX_DELAY, MAX_DELAY])

  for (const [retries, attempts] of [[0, [1, 2]], [2, [3, 4]]] as const) {
    const policy = resolvePolicy({ retries, backoff: AT_ONCE })
    for (const error of [new Error('broken'), new RetryAfterError(5), new UnrecoverableError()]) {
      t.strictSame(attempts.map((attempt) => retryDelay(policy, attempt, error)), [undefined, undefined])
    }
  }
})

t.test('with jitter the wait is a random share of the whole', async (t) => {
  const policy = resolvePolicy({ retries: 3, backoff: { delay: 1000 } })
  for (const [attempt, whole] of [[1, 1000], [3, 4000]] as const) {
    const waits = Array.from({ length: 1000 }, () => retryDelay(policy, attempt, new Error('broken'))!)

    t.ok(waits.every((wait) => Number.isInteger(wait) && wait >= 0 && wait <= whole))
    t.ok(new Set(waits).size > 100, 'they differ')
    t.ok(Math.min(...waits) < whole * 0.2, 'down to next to nothing')
    t.ok(Math.max(...waits) > whole * 0.8, 'up to next to the whole')
  }
  t.equal(retryDelay(policy, 1, new RetryAfterError(777)), 777, 'what was asked for is no share')
})
