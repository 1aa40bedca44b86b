import { context, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { AlwaysOffSampler } from '@opentelemetry/sdk-trace-base'
import t from 'tap'
import { getTaskContext } from '../../lib/context'
import background from '../../lib/index'
import { createApp } from '../helpers/app'
import { latch, turn, until } from '../helpers/latch'
import { createTracedApp, setGlobals } from '../helpers/otel'
import { AT_ONCE, never } from '../helpers/policies'
import { serve } from '../helpers/serve'

const { defineTask } = background
setGlobals()

t.test('otel: a run has a span of its own, the root of a trace', async (t) => {
  const { app, spans } = await createTracedApp(t)
  const run = app.background.addTask(function sendEmail () {})
  await run.finished()
  await turn()

  const [span, ...others] = spans()
  t.strictSame(others, [])
  t.equal(span.name, 'process sendEmail')
  t.equal(span.kind, SpanKind.CONSUMER)
  t.equal(span.parentSpanContext, undefined)
  t.strictSame(span.links, [], 'nothing was active where it was added')
  t.equal(span.status.code, SpanStatusCode.UNSET)
  t.strictSame(span.attributes, {
    'messaging.system': 'fastify_background',
    'messaging.operation.name': 'process',
    'messaging.operation.type': 'process',
    'messaging.destination.name': 'sendEmail',
    'messaging.message.id': run.id,
    'fastify.background.attempt': 1,
    'fastify.background.outcome': 'completed'
  })
  t.equal(span.instrumentationScope.name, 'fastify-background')
})

t.test('otel: the span is linked to the one that was active where the task was added', async (t) => {
  const { app, spans, within } = await createTracedApp(t)
  within('request', () => app.background.addTask(async function sendEmail () {}))
  await app.background.idle()

  const [request] = spans('request')
  const [span] = spans('process')
  t.strictSame(span.links.map(({ context }) => context.spanId), [request.spanContext().spanId])
  t.not(span.spanContext().traceId, request.spanContext().traceId)
})

t.test('otel: what a task does is a child of its span, before and after it has waited', async (t) => {
  const { app, spans, within } = await createTracedApp(t)
  within('request', () => {
    app.background.addTask(async function sendEmail () {
      within('connect', () => {}, context.active())
      await turn()
      within('send', () => {}, context.active())
    })
  })
  await app.background.idle()

  const [span] = spans('process')
  for (const name of ['connect', 'send']) {
    const [child] = spans(name)
    t.equal(child.parentSpanContext?.spanId, span.spanContext().spanId, name)
    t.equal(child.spanContext().traceId, span.spanContext().traceId, name)
  }
})

t.test('otel: concurrent runs do not see each other\'s spans', async (t) => {
  const { app, spans } = await createTracedApp(t)
  const seen = new Map<string, string | undefined>()
  const add = (name: string) => app.background.addTask(defineTask(async () => {
    await turn()
    seen.set(name, trace.getSpanContext(context.active())?.spanId)
  }, { name }))
  for (const name of ['a', 'b', 'c']) add(name)
  await app.background.idle()

  t.equal(new Set(seen.values()).size, 3)
  for (const [name, spanId] of seen) t.equal(spans(`process ${name}`)[0].spanContext().spanId, spanId)
})

t.test('otel: a task that a task adds is linked to the span of that', async (t) => {
  const { app, spans } = await createTracedApp(t)
  app.background.addTask(function outer () { app.background.addTask(function inner () {}) })
  await app.background.idle()

  const [outer] = spans('process outer')
  const [inner] = spans('process inner')
  t.strictSame(inner.links.map(({ context }) => context.spanId), [outer.spanContext().spanId])
  t.not(inner.spanContext().traceId, outer.spanContext().traceId)
})

t.test('otel: each attempt has a span, linked to the same', async (t) => {
  const { app, spans, within } = await createTracedApp(t)
  const task = defineTask(async function () {
    if (this.attempt === 1) throw new RangeError('broken')
  }, { name: 'again', retries: 2, backoff: AT_ONCE })
  within('request', () => app.background.addTask(task))
  await app.background.idle()

  const [request] = spans('request')
  const attempts = spans('process again')
  t.strictSame(attempts.map(({ attributes }) => [attributes['fastify.background.attempt'], attributes['fastify.background.outcome']]),
    [[1, 'retrying'], [2, 'completed']])
  t.strictSame(attempts.map(({ status }) => status.code), [SpanStatusCode.ERROR, SpanStatusCode.UNSET])
  for (const { links } of attempts) t.strictSame(links.map(({ context }) => context.spanId), [request.spanContext().spanId])
  t.equal(new Set(attempts.map(({ attributes }) => attributes['messaging.message.id'])).size, 1)
})

const codeless = Object.assign(new TypeError('broken'), { code: 7 })
for (const [what, thrown, type, message] of [
  ['an error', new RangeError('broken'), 'RangeError', 'broken'],
  ['an error with a code', Object.assign(new Error('away'), { code: 'ECONNREFUSED' }), 'ECONNREFUSED', 'away'],
  ['an error with a code that is no text', codeless, 'TypeError', 'broken'],
  ['an error without a name', Object.assign(new Error('broken'), { name: '' }), '_OTHER', 'broken'],
  ['a text', 'broken', '_OTHER', 'broken'],
  ['undefined', undefined, '_OTHER', 'undefined'],
  ['an error whose getters throw', Object.defineProperties(new Error('broken'), {
    code: { get () { throw new Error('no') } }, message: { get () { throw new Error('no') } }
  }), '_OTHER', undefined],
  ['what cannot be a string', Object.create(null), '_OTHER', undefined]
] as Array<[string, unknown, string, string | undefined]>) {
  t.test(`otel: an attempt that throws ${what} is a span with an error`, async (t) => {
    const { app, spans } = await createTracedApp(t)
    for (const wait of [false, true]) {
      await app.background.addTask(wait ? async () => { throw thrown } : () => { throw thrown }).finished()
    }
    await turn()
    t.equal(spans().length, 2, 'synchronous, and asynchronous')
    for (const { status, attributes } of spans()) {
      t.strictSame(status, message === undefined ? { code: SpanStatusCode.ERROR } : { code: SpanStatusCode.ERROR, message })
      t.equal(attributes['error.type'], type)
      t.equal(attributes['fastify.background.outcome'], 'failed')
    }
  })
}

t.test('otel: the span has the exception as an event', async (t) => {
  const { app, spans } = await createTracedApp(t)
  await app.background.addTask(() => { throw new RangeError('broken') }).finished()
  await turn()
  const [{ events: [event] }] = spans()
  t.equal(event.name, 'exception')
  t.match(event.attributes, { 'exception.type': 'RangeError', 'exception.message': 'broken', 'exception.stacktrace': /spans\.test/ })
})

t.test('otel: a synchronous attempt that is tried again has failed, whatever has become of the run by then', async (t) => {
  const { app, spans } = await createTracedApp(t)
  const task = defineTask(() => { throw new Error('broken') }, { name: 'again', retries: 1, backoff: AT_ONCE })
  await app.background.addTask(task).finished()
  await turn()
  t.strictSame(spans().map(({ attributes }) => attributes['fastify.background.outcome']), ['retrying', 'failed'])
})

t.test('otel: an attempt whose time is up, and one that is cancelled, end then', async (t) => {
  const { app, spans } = await createTracedApp(t)
  await app.background.addTask(defineTask(never, { name: 'slow', timeout: 1 })).finished()
  const run = app.background.addTask(defineTask(never, { name: 'unwanted' }))
  await until(() => run.state === 'active')
  run.cancel(new Error('not wanted'))

  const [slow] = spans('process slow')
  t.equal(slow.attributes['error.type'], 'FST_ERR_BACKGROUND_TASK_TIMEOUT')
  const [unwanted] = spans('process unwanted')
  t.equal(unwanted.attributes['fastify.background.outcome'], 'cancelled')
  t.equal(unwanted.status.code, SpanStatusCode.UNSET)
})

t.test('otel: a run that does not start has no span', async (t) => {
  const { app, spans } = await createTracedApp(t)
  await serve(app, (reply) => {
    reply.background.addTask(defineTask(() => {}, { name: 'discarded', when: 'error' }))
    reply.background.addTask(defineTask(() => {}, { name: 'cancelled' })).cancel()
  })
  await app.background.idle()
  t.strictSame(spans(), [])
})

t.test('otel: a run that is not sampled hands on that it is not', async (t) => {
  const { app, spans } = await createTracedApp(t, { sampler: new AlwaysOffSampler() })
  let flags: number | undefined
  await app.background.addTask(async () => {
    await turn()
    flags = trace.getSpanContext(context.active())?.traceFlags
  }).finished()
  t.equal(flags, 0)
  t.strictSame(spans(), [])
})

t.test('otel: the task\'s own context is there beside the span', async (t) => {
  const { app } = await createTracedApp(t)
  const run = app.background.addTask(async () => [getTaskContext()?.id, trace.getActiveSpan() !== undefined])
  const { result } = await run.finished()
  t.strictSame(result, [run.id, true])
})

t.test('otel: runs of another application are not its own', async (t) => {
  const { app, spans } = await createTracedApp(t)
  const other = await createApp(t)
  const { result } = await other.background.addTask(() => trace.getActiveSpan()).finished()
  t.equal(result, undefined)
  await app.background.addTask(function ours () {}).finished()
  await turn()
  t.strictSame(spans().map(({ name }) => name), ['process ours'])
})

t.test('otel: runs that shutdown waits for, and those that it ends, have their spans', async (t) => {
  const { app, spans } = await createTracedApp(t, { closeTimeout: 20 })
  const goOn = latch()
  const slow = app.background.addTask(async function slow () { await goOn })
  app.background.addTask(defineTask(never, { name: 'endless' }))
  await until(() => slow.state === 'active')
  const closed = app.close()
  goOn.open()
  await closed
  t.strictSame(spans().map(({ name, attributes }) => [name, attributes['fastify.background.outcome']]),
    [['process slow', 'completed'], ['process endless', 'cancelled']])
})

t.test('otel: a sampler that throws harms no task', async (t) => {
  const sampler = { shouldSample () { throw new Error('no') }, toString: () => 'broken' }
  const { app, spans } = await createTracedApp(t, { sampler })
  const run = app.background.addTask(async () => 'done')
  t.equal((await run.finished()).result, 'done')
  t.strictSame(spans(), [])
})
