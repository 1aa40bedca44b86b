import t from 'tap'
import background from '../../lib/index'
import { telemetry } from '../../lib/otel/otel'
import { createApp } from '../helpers/app'
import { latch, turn, until } from '../helpers/latch'
import { countOf, createTracedApp, setGlobals, type Metering } from '../helpers/otel'
import { AT_ONCE, IN_A_MINUTE } from '../helpers/policies'
import { serve } from '../helpers/serve'

const { defineTask } = background
setGlobals()

const SYSTEM = { 'messaging.system': 'fastify_background' }

/** Pending runs by state, where there are any. */
async function pending ({ points }: Metering): Promise<Record<string, unknown>> {
  const found = await points('fastify.background.pending')
  return Object.fromEntries(found.filter(({ value }) => value !== 0).map(({ attributes, value }) => [attributes['fastify.background.state'], value]))
}

/** Runs by task and outcome, as text. */
async function outcomes ({ points }: Metering): Promise<string[]> {
  const found = await points('fastify.background.runs')
  return found.map(({ attributes, value }) =>
    `${attributes['messaging.destination.name']} ${attributes['fastify.background.outcome']} ${value}`).sort()
}

t.test('otel: each attempt is timed, by task and outcome', async (t) => {
  const { app, points } = await createTracedApp(t)
  const task = defineTask(async function () {
    if (this.attempt === 1) throw new RangeError('broken')
  }, { name: 'again', retries: 1, backoff: AT_ONCE })
  await app.background.addTask(task).finished()
  await app.background.addTask(function plain () {}).finished()
  await turn()

  const found = await points('messaging.process.duration')
  const common = { ...SYSTEM, 'messaging.operation.name': 'process' }
  t.strictSame(found.map((point) => [point.attributes, countOf(point)]), [
    [{ ...common, 'messaging.destination.name': 'again', 'fastify.background.outcome': 'retrying', 'error.type': 'RangeError' }, 1],
    [{ ...common, 'messaging.destination.name': 'again', 'fastify.background.outcome': 'completed' }, 1],
    [{ ...common, 'messaging.destination.name': 'plain', 'fastify.background.outcome': 'completed' }, 1]
  ])
})

t.test('otel: durations are in seconds', async (t) => {
  const { app, points } = await createTracedApp(t)
  let duration: number | undefined
  const { tracingChannel } = await import('node:diagnostics_channel')
  const listener = (event: unknown): void => { duration = (event as background.AttemptEvent).duration }
  tracingChannel('fastify.background.task').asyncEnd.subscribe(listener)
  t.teardown(() => tracingChannel('fastify.background.task').asyncEnd.unsubscribe(listener))
  await app.background.addTask(async () => { await turn() }).finished()

  const [{ value }] = await points('messaging.process.duration')
  t.equal((value as { sum: number }).sum, duration! / 1000)
})

t.test('otel: the wait for the first attempt is timed once a run', async (t) => {
  const { app, points } = await createTracedApp(t)
  const task = defineTask(async function () {
    if (this.attempt < 3) throw new Error('broken')
  }, { name: 'again', retries: 2, backoff: AT_ONCE })
  await app.background.addTask(task).finished()

  const found = await points('fastify.background.queue.duration')
  t.strictSame(found.map((point) => [point.attributes, countOf(point)]), [[{ ...SYSTEM, 'messaging.destination.name': 'again' }, 1]])
})

t.test('otel: each run is counted once, by its outcome, those without an attempt too', async (t) => {
  const { app, metering } = await createTracedApp(t)
  await serve(app, (reply) => {
    reply.background.addTask(function completed () {})
    reply.background.addTask(async function completed () {})
    reply.background.addTask(function failed () { throw new Error('broken') })
    reply.background.addTask(defineTask(async () => { throw new Error('broken') }, { name: 'retried', retries: 2, backoff: AT_ONCE }))
    reply.background.addTask(defineTask(() => {}, { name: 'discarded', when: 'error' }))
    reply.background.addTask(defineTask(() => {}, { name: 'condition', when () { throw new Error('broken') } }))
    reply.background.addTask(defineTask(() => {}, { name: 'cancelled' })).cancel()
    reply.background.addTask(async function byItself () { app.background.get(this.id)!.cancel() })
  })
  await app.background.idle()
  await turn()

  t.strictSame(await outcomes(metering), [
    'byItself cancelled 1', 'cancelled cancelled 1', 'completed completed 2', 'condition failed 1', 'discarded discarded 1',
    'failed failed 1', 'retried failed 1'
  ])
  const { accepted } = app.background.stats()
  t.equal(accepted, 8)
})

t.test('otel: pending runs are counted by state', async (t) => {
  const { app, metering } = await createTracedApp(t, { concurrency: 1, backoff: IN_A_MINUTE, closeTimeout: 0 })
  t.strictSame(await pending(metering), {})
  const again = app.background.addTask(defineTask(() => { throw new Error('broken') }, { retries: 1 }))
  await until(() => again.state === 'retrying')
  const end = latch()
  const active = app.background.addTask(() => end)
  app.background.addTask(() => {})
  app.background.addTask(() => {})
  await until(() => active.state === 'active')
  t.strictSame(await pending(metering), { queued: 2, active: 1, retrying: 1 })

  end.open()
  again.cancel()
  await app.background.idle()
  t.strictSame(await pending(metering), {})
})

t.test('otel: the pending runs of several applications are added up, and a closed one counts no more', async (t) => {
  const { app, metering } = await createTracedApp(t)
  const other = await createApp(t)
  await other.register(telemetry, { meterProvider: metering.provider })
  const end = latch()
  const runs = [app, other].map((each) => each.background.addTask(() => end))
  await until(() => runs.every(({ state }) => state === 'active'))
  t.strictSame(await pending(metering), { active: 2 })

  const closing = other.close()
  t.strictSame(await pending(metering), { active: 2 }, 'while it closes')
  end.open()
  await closing
  await turn()
  app.background.addTask(() => {})
  t.strictSame(await pending(metering), { queued: 1 })
})

t.test('otel: what ends in the last moments of closing is counted', async (t) => {
  const { app, metering } = await createTracedApp(t)
  app.addHook('onClose', async () => { app.background.addTask(async function late () { await turn() }) })
  await app.close()
  t.strictSame(await outcomes(metering), ['late completed 1'])
})
