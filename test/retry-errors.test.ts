import t from 'tap'
import background from '../lib/index'
import { createApp, memoryLogger } from './helpers/app'
import { anotherCopy } from './helpers/another-copy'
import { trap } from './helpers/hostile'
import { AT_ONCE, IN_A_MINUTE } from './helpers/policies'
import { unhandledRejections } from './helpers/unhandled'

const { RetryAfterError, UnrecoverableError } = background

const hostile: Record<string, () => unknown> = {
  'a RetryAfterError whose delay cannot be read': () => Object.defineProperty(new RetryAfterError(1), 'delay', { get: trap }),
  'a proxy of a RetryAfterError whose traps throw': () => new Proxy(new RetryAfterError(1), { get: trap }),
  'a RetryAfterError without a delay': () => Object.create(RetryAfterError.prototype),
  'a RetryAfterError whose delay was changed': () => Object.assign(new RetryAfterError(1), { delay: NaN })
}

for (const [what, make] of Object.entries(hostile)) {
  for (const [how, fail] of [['throws', (error: unknown) => { throw error }], ['rejects with', async (error: unknown) => { throw error }]] as const) {
    t.test(`R3: a task that ${how} ${what} is tried again by its backoff`, async (t) => {
      const unhandled = unhandledRejections(t)
      const { logger, lines } = memoryLogger('warn')
      const app = await createApp(t, { retries: 1, backoff: { delay: 7, jitter: false }, closeTimeout: 0 }, { logger })
      const run = app.background.addTask(() => fail(make()))
      await run.finished()

      t.match(run, { state: 'failed', attempt: 2 })
      t.match(lines, [{ msg: /in 7 ms/ }, { msg: 'background task failed' }])
      t.strictSame(unhandled, [])
    })
  }
}

t.test('R3: the errors of another copy of the package are known', async (t) => {
  const other = anotherCopy()
  t.not(other.UnrecoverableError, UnrecoverableError)
  const app = await createApp(t, { retries: 1, backoff: IN_A_MINUTE })
  const never = app.background.addTask(() => { throw new other.UnrecoverableError('never') })
  const soon = app.background.addTask(() => { throw new other.RetryAfterError(0) })
  await Promise.all([never.finished(), soon.finished()])

  t.match(never, { state: 'failed', attempt: 1 })
  t.match(soon, { state: 'failed', attempt: 2 })
})

t.test('R3: errors that are derived from these are known, and go by their own names', async (t) => {
  class Declined extends UnrecoverableError {
    override readonly name = 'Declined'
  }
  class Busy extends RetryAfterError {
    override readonly name = 'Busy'
  }
  const app = await createApp(t, { retries: 1, backoff: IN_A_MINUTE })
  const declined = app.background.addTask(() => { throw new Declined('no') })
  const busy = app.background.addTask(() => { throw new Busy(0) })
  await Promise.all([declined.finished(), busy.finished()])

  t.match(declined, { state: 'failed', attempt: 1, error: { name: 'Declined', message: 'no' } })
  t.match(busy, { state: 'failed', attempt: 2, error: { name: 'Busy', message: 'try again in 0 ms' } })
})

t.test('R3: a bound generator function, of which nothing runs, is not tried again', async (t) => {
  const app = await createApp(t, { retries: 3, backoff: AT_ONCE })
  function * work (): Generator {}
  const run = await app.background.addTask(work.bind(null)).finished()

  t.match(run, { state: 'failed', attempt: 1, error: { code: 'FST_ERR_BACKGROUND_INVALID_TASK' } })
})

t.test('a RetryAfterError says what it takes, whatever it is given', async (t) => {
  for (const delay of [Symbol('soon'), Object.create(null), { toString: trap }]) {
    t.throws(() => new RetryAfterError(delay as never), { code: 'FST_ERR_BACKGROUND_INVALID_OPTION' })
  }
})
