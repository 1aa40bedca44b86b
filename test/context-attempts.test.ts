import { AsyncLocalStorage } from 'node:async_hooks'
import t from 'tap'
import type { FastifyInstance } from 'fastify'
import { getTaskContext } from '../lib/context'
import background from '../lib/index'
import { createApp } from './helpers/app'
import { turn, until } from './helpers/latch'
import { AT_ONCE, never, onEvent } from './helpers/policies'
import { serve } from './helpers/serve'

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

t.test('what listens to the signal finds the task\'s context', async (t) => {
  const app = await createApp(t, { timeout: 5 })
  const found: unknown[] = []
  await app.background.addTask(async function first () {
    this.signal.addEventListener('abort', () => { found.push(getTaskContext() === this) })
    await never()
  }).finished()
  await turn()

  t.strictSame(found, [true])
})

t.test('what a task adds is not in that task\'s context: neither its condition, nor what is told of it', async (t) => {
  const found: unknown[] = []
  const look = (): boolean => {
    found.push(getTaskContext())
    return true
  }
  const app = await createApp(t, { onTaskError: () => { look() } })
  await serve(app, (reply) => {
    reply.background.addTask(() => {
      reply.background.addTask(background.defineTask(() => { throw new Error('broken') }, { when: look }))
    })
  })
  await app.background.idle()

  t.strictSame(found, [undefined, undefined])
})

t.test('R4: that a run was discarded is published with its own stores', async (t) => {
  const store = new AsyncLocalStorage<string>()
  const app = await createApp(t, { when: 'error' })
  const seen: unknown[] = []
  onEvent(t, app, 'discarded', ({ run }) => { seen.push([run.name, store.getStore()]) })
  app.get('/:who', async (request, reply) => {
    const { who } = request.params as { who: string }
    store.run(who, () => reply.background.addTask(Object.defineProperty(() => {}, 'name', { value: who })))
    return 'ok'
  })
  await Promise.all(['a', 'b', 'c'].map((who) => app.inject(`/${who}`)))
  await app.background.idle()

  t.strictSame(seen.sort(), [['a', 'a'], ['b', 'b'], ['c', 'c']])
})
