import { context, trace } from '@opentelemetry/api'
import { FastifyOtelInstrumentation } from '@fastify/otel'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import background from '../../lib/index'
import { telemetry } from '../../lib/otel/otel'
import { listen } from '../helpers/app'
import { turn } from '../helpers/latch'
import { setGlobals, tracing, type Tracing } from '../helpers/otel'

setGlobals()

/** An app that @fastify/otel traces, too. */
async function createApp (t: Test): Promise<{ app: FastifyInstance } & Tracing> {
  const traces = tracing(t)
  const instrumentation = new FastifyOtelInstrumentation()
  instrumentation.setTracerProvider(traces.provider)
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(instrumentation.plugin())
  await app.register(background)
  await app.register(telemetry, { tracerProvider: traces.provider })
  return { app, ...traces }
}

async function get (app: FastifyInstance): Promise<void> {
  const { url } = await listen(app)
  await (await fetch(url)).text()
  await app.background.idle()
  await turn()
}

t.test('beside @fastify/otel: the request\'s span ends before its task starts, and the task\'s is linked into its trace', async (t) => {
  const { app, spans, within } = await createApp(t)
  let ended: boolean | undefined
  app.get('/', async (_request, reply) => {
    reply.background.addTask(async function sendEmail () {
      ended = spans('request').length === 1
      await turn()
      within('send', () => {}, context.active())
    })
    return 'hello'
  })
  await get(app)

  const [request] = spans('request')
  const [handler] = spans('handler')
  const [task] = spans('process sendEmail')
  const [send] = spans('send')
  t.equal(ended, true)
  t.equal(task.parentSpanContext, undefined)
  t.strictSame(task.links.map(({ context }) => context.spanId), [handler.spanContext().spanId])
  t.equal(task.links[0].context.traceId, request.spanContext().traceId)
  t.not(task.spanContext().traceId, request.spanContext().traceId)
  t.equal(send.parentSpanContext?.spanId, task.spanContext().spanId)
})

t.test('beside @fastify/otel: the task of a route is linked into the request\'s trace', async (t) => {
  const { app, spans } = await createApp(t)
  let seen: string | undefined
  app.get('/', {
    background: async function audit () { seen = trace.getSpanContext(context.active())?.spanId }
  }, async () => 'hello')
  await get(app)

  const [request] = spans('request')
  const [task] = spans('process audit')
  t.equal(task.links[0]?.context.traceId, request.spanContext().traceId)
  t.not(task.spanContext().traceId, request.spanContext().traceId)
  t.equal(seen, task.spanContext().spanId)
})
