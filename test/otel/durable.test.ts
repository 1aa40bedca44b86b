import { context, propagation, trace } from '@opentelemetry/api'
import t from 'tap'
import background from '../../lib/index'
import { journal } from '../../lib/engines/journal'
import { telemetry } from '../../lib/otel/otel'
import { createApp } from '../helpers/app'
import { durable } from '../helpers/durable'
import { latch, turn, until } from '../helpers/latch'
import { Memory, MemoryEngine } from '../helpers/memory-engine'
import { metering, setGlobals, tracing } from '../helpers/otel'

setGlobals()

/** An app with telemetry, as a process of its own would be: it shares with others what they store alone. */
async function createProcess (t: Parameters<typeof createApp>[0], options: background.BackgroundOptions) {
  const traces = tracing(t)
  const metrics = metering(t)
  const app = await createApp(t, options)
  await app.register(telemetry, { tracerProvider: traces.provider, meterProvider: metrics.provider })
  return { app, spans: traces.spans, within: traces.within, points: metrics.points }
}

t.test('otel: the trace context travels with a stored task to another process', async (t) => {
  const memory = new Memory()
  const ran = latch<string | undefined>()
  const task = durable('send-email', () => { ran.open(trace.getSpanContext(context.active())?.traceId) })
  const web = await createProcess(t, { engine: new MemoryEngine({ memory }), worker: false, tasks: [task] })
  const worker = await createProcess(t, { engine: new MemoryEngine({ memory }), tasks: [task] })
  await web.app.ready()
  await worker.app.ready()

  const run = web.within('request', () => web.app.background.addTask(task))
  const traceId = await ran
  await worker.app.background.idle()
  await turn()

  const [request] = web.spans('request')
  const [span] = worker.spans('process')
  t.strictSame(web.spans('process'), [])
  t.equal(span.parentSpanContext, undefined)
  t.equal(span.spanContext().traceId, traceId)
  t.strictSame(span.links.map(({ context: { traceId, spanId } }) => [traceId, spanId]),
    [[request.spanContext().traceId, request.spanContext().spanId]])
  t.equal(span.attributes['messaging.message.id'], run.id)
  t.match([...memory.entries.values()][0].task.meta, { traceparent: new RegExp(request.spanContext().spanId) })
  const [{ attributes }] = await worker.points('fastify.background.runs')
  t.match(attributes, { 'messaging.destination.name': 'send-email', 'fastify.background.outcome': 'completed' })
  t.strictSame(await web.points('fastify.background.runs'), [])
})

t.test('otel: a task that was stored without a trace has a span without a link', async (t) => {
  const memory = new Memory()
  const task = durable('send-email', () => {})
  const worker = await createProcess(t, { engine: new MemoryEngine({ memory }), tasks: [task] })
  await worker.app.ready()
  const ended = latch()
  for (const [name, meta] of [['none', {}], ['broken', { traceparent: 'nonsense' }]] as Array<[string, Record<string, string>]>) {
    memory.engines.values().next().value!.put({ name: 'send-email', id: name, meta })
  }
  await until(() => worker.spans('process').length === 2)
  ended.open()
  t.strictSame(worker.spans('process').map(({ links }) => links), [[], []])
})

t.test('otel: a task that the journal brings to the next process is linked to the request of the last', async (t) => {
  const location = t.testdir()
  const ran = latch()
  const first = await createProcess(t, {
    engine: journal({ location }), closeTimeout: 0, tasks: [durable('send-email', () => new Promise<void>(() => {}))]
  })
  await first.app.ready()
  const task = first.within('request', () => first.app.background.addTask(durable('send-email', () => {})))
  await task.stored()
  await first.app.close()

  const second = await createProcess(t, { engine: journal({ location }), tasks: [durable('send-email', () => { ran.open() })] })
  await second.app.ready()
  await ran
  await second.app.background.idle()
  await turn()
  const [request] = first.spans('request')
  const [span] = second.spans('process')
  t.strictSame(span.links.map(({ context }) => context.spanId), [request.spanContext().spanId])
})

t.test('otel: an attempt that shutdown hands back says so', async (t) => {
  const task = durable('slow', () => new Promise<void>(() => {}))
  const { app, spans } = await createProcess(t, { engine: new MemoryEngine({ local: true }), closeTimeout: 0, tasks: [task] })
  await app.ready()
  const run = app.background.addTask(task)
  await until(() => run.state === 'active')
  await app.close()
  t.strictSame(spans().map(({ attributes }) => attributes['fastify.background.outcome']), ['stored'])
})

t.test('otel: an attempt of an engine of many processes that is tried again says so', async (t) => {
  for (const wait of [false, true]) {
    const task = durable('again', wait ? async () => { throw new Error('broken') } : () => { throw new Error('broken') }, { retries: 1, backoff: { delay: 0 } })
    const { app, spans } = await createProcess(t, { engine: new MemoryEngine(), tasks: [task] })
    await app.ready()
    app.background.addTask(task)
    await until(() => spans().length === 2)
    t.strictSame(spans().map(({ attributes }) => attributes['fastify.background.outcome']), ['retrying', 'failed'])
  }
})

t.test('otel: a propagator that throws harms no task', async (t) => {
  const task = durable('send-email', () => 'done')
  const { app } = await createProcess(t, { engine: new MemoryEngine({ local: true }), tasks: [task] })
  await app.ready()
  propagation.disable()
  propagation.setGlobalPropagator({
    inject () { throw new Error('no') }, extract () { throw new Error('no') }, fields: () => []
  })
  t.teardown(() => propagation.disable())
  const run = app.background.addTask(task)
  await app.background.idle()
  t.equal(run.result, 'done')
})
