import { tracingChannel } from 'node:diagnostics_channel'
import t from 'tap'
import type background from '../lib/index'
import { createApp, memoryLogger } from './helpers/app'
import { until } from './helpers/latch'
import { AT_ONCE, failing, IN_A_MINUTE, onEvent, timers } from './helpers/policies'
import { manyTurns } from './helpers/reply'

t.test('a run has no error while a later attempt is at work', async (t) => {
  const app = await createApp(t, { retries: 1, backoff: AT_ONCE })
  const seen: unknown[] = []
  const run: background.TaskRun = app.background.addTask(function () {
    if (this.attempt === 1) throw new Error('broken')
    seen.push(run.error)
  })
  await run.finished()

  t.strictSame(seen, [undefined])
})

t.test('L4: a run that is cancelled where its failure is published has no timer, and no line says that it will be tried again', async (t) => {
  const { logger, lines } = memoryLogger('info')
  const app = await createApp(t, { retries: 1, backoff: IN_A_MINUTE }, { logger })
  const before = timers()
  const channel = tracingChannel<unknown, background.AttemptEvent>('fastify.background.task').error
  const listener = (event: unknown): void => { (event as background.AttemptEvent).run.cancel() }
  channel.subscribe(listener)
  t.teardown(() => { channel.unsubscribe(listener) })
  await app.background.addTask(() => { throw new Error('broken') }).finished()
  await manyTurns()

  t.equal(timers(), before)
  t.strictSame(lines.map(({ msg }) => msg), ['background task cancelled'])
})

t.test('R3: a run that is cancelled where its next attempt is announced has failed in the log with its own error, before', async (t) => {
  const { logger, lines } = memoryLogger('info')
  const app = await createApp(t, { retries: 1, backoff: IN_A_MINUTE }, { logger })
  onEvent(t, app, 'retrying', ({ run }) => { run.cancel(new Error('enough')) })
  await app.background.addTask(() => { throw new Error('broken') }).finished()
  await manyTurns()

  t.match(lines, [{ err: { message: 'broken' }, msg: /tried again/ }, { msg: 'background task cancelled' }])
})

t.test('R5: a task whose run is cancelled where its start is published is not called', async (t) => {
  const app = await createApp(t)
  const channel = tracingChannel<unknown, background.AttemptEvent>('fastify.background.task').start
  const listener = (event: unknown): void => { (event as background.AttemptEvent).run.cancel() }
  channel.subscribe(listener)
  t.teardown(() => { channel.unsubscribe(listener) })
  let calls = 0
  const run = await app.background.addTask(() => { calls++ }).finished()
  await manyTurns()

  t.equal(run.state, 'cancelled')
  t.equal(calls, 0)
})

t.test('L1: the line of a run that shutdown ends says that it was waiting for its next attempt', async (t) => {
  const { logger, lines } = memoryLogger('warn')
  const app = await createApp(t, { retries: 1, backoff: IN_A_MINUTE, closeTimeout: 0 }, { logger })
  const run = app.background.addTask(failing(1))
  await until(() => run.state === 'retrying')
  await app.close()

  t.equal(lines.at(-1)?.msg, 'background task cancelled: it was waiting for its next attempt when closeTimeout was over')
})
