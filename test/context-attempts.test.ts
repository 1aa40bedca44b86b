import { AsyncLocalStorage } from 'node:async_hooks'
import t from 'tap'
import type { FastifyInstance } from 'fastify'
import type background from '../lib/index'
import { createApp } from './helpers/app'
import { turn, until } from './helpers/latch'
import { AT_ONCE, never } from './helpers/policies'

t.test('R4: a store that a task enters in one attempt is not seen in the next', async (t) => {
  const store = new AsyncLocalStorage<string>()
  const app = await createApp(t, { retries: 2, backoff: AT_ONCE })
  const seen: unknown[] = []
  await store.run('place', () => app.background.addTask(() => {
    seen.push(store.getStore())
    store.enterWith('entered')
    throw new Error('broken')
  })).finished()

  t.strictSame(seen, ['place', 'place', 'place'])
})

const endings: Array<[how: string, options: background.BackgroundOptions, end: (run: background.TaskRun, app: FastifyInstance) => unknown]> = [
  ['its time-out', { timeout: 5 }, () => {}],
  ['its cancellation', {}, (run) => run.cancel()],
  ['shutdown', { closeTimeout: 0 }, (_, app) => app.close()]
]

for (const [how, options, end] of endings) {
  t.test(`R4: what listens to the signal sees the task's stores at ${how}`, async (t) => {
    const store = new AsyncLocalStorage<string>()
    const app = await createApp(t, options)
    const seen: unknown[] = []
    // The first of a turn: what is dispatched with it is dispatched from its place.
    store.run('another place', () => app.background.addTask(() => {}))
    const run = store.run('place', () => app.background.addTask(function () {
      this.signal.addEventListener('abort', () => { seen.push(store.getStore()) })
      return never()
    }))
    await until(() => run.state === 'active')
    await store.run('another place', () => end(run, app))
    await run.finished()
    await turn()

    t.strictSame(seen, ['place'])
  })
}
