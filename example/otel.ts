// A server whose tasks are traced and measured: spans are printed as they end, and Prometheus finds the metrics at
// /metrics. Run it, after npm run build: npx tsx example/otel.ts
import { context, metrics, trace, type HrTime } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { PrometheusExporter, PrometheusSerializer } from '@opentelemetry/exporter-prometheus'
import { MeterProvider } from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider, SimpleSpanProcessor, type ReadableSpan, type SpanExporter } from '@opentelemetry/sdk-trace-base'
import { FastifyOtelInstrumentation } from '@fastify/otel'
import closeWithGrace from 'close-with-grace'
import Fastify, { type FastifyInstance } from 'fastify'
import backgroundPlugin, { defineTask, type TaskContext } from 'fastify-background'
import { telemetry } from 'fastify-background/otel'

const ACCOUNTS = 10
const CLOSE_TIMEOUT = 5_000

// ---- The SDK comes first. In an application of your own this is a file for `node --import`.

const prometheus = new PrometheusExporter({ preventServerStart: true })
metrics.setGlobalMeterProvider(new MeterProvider({ readers: [prometheus] }))
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(printer())] }))

// ---- The server

export async function createOtelApp (): Promise<FastifyInstance> {
  const app = Fastify()
  await app.register(new FastifyOtelInstrumentation().plugin())
  await app.register(backgroundPlugin, { closeTimeout: CLOSE_TIMEOUT })
  await app.register(telemetry)

  const sendEmail = defineTask(async function (this: TaskContext, to: string): Promise<void> {
    // A span of the task's own: it becomes a child of the one that the plugin has made.
    await trace.getTracer('example').startActiveSpan('smtp', async (span) => {
      await new Promise((resolve) => setTimeout(resolve, 5))
      span.end()
    })
    if (to.startsWith('1') && this.attempt === 1) throw new Error('the mail server is busy')
  }, { name: 'send-email', retries: 2, backoff: { delay: 10 } })

  app.post<{ Body: { email: string } }>('/accounts', async (request, reply) => {
    reply.background.addTask(sendEmail, request.body.email)
    return reply.code(201).send({ created: true })
  })

  app.get('/metrics', async (_request, reply) => {
    const { resourceMetrics } = await prometheus.collect()
    return reply.type('text/plain; version=0.0.4; charset=utf-8').send(new PrometheusSerializer().serialize(resourceMetrics))
  })

  return app
}

/** One line for a span: of requests and tasks, not of what is inside of them. */
function printer (): SpanExporter {
  return {
    export (spans, done) {
      for (const span of spans) if (/^(request|process|smtp)/.test(span.name)) console.log(inWords(span))
      done({ code: 0 })
    },
    async shutdown () {}
  }
}

function inWords (span: ReadableSpan): string {
  const { name, duration, links, parentSpanContext, attributes } = span
  const { traceId } = span.spanContext()
  const words = [`trace ${traceId.slice(0, 6)}  ${name}, ${milliseconds(duration)} ms`]
  if (attributes['fastify.background.attempt'] !== undefined) words.push(`attempt ${String(attributes['fastify.background.attempt'])}`)
  if (attributes['fastify.background.outcome'] !== undefined) words.push(String(attributes['fastify.background.outcome']))
  if (links.length > 0) words.push(`linked to trace ${links[0].context.traceId.slice(0, 6)}`)
  if (parentSpanContext !== undefined) words.push('in the span of its task')
  return words.join(', ')
}

function milliseconds ([seconds, nanoseconds]: HrTime): string {
  return (seconds * 1e3 + nanoseconds / 1e6).toFixed(1)
}

async function main (): Promise<void> {
  const app = await createOtelApp()
  closeWithGrace({ delay: CLOSE_TIMEOUT + 5_000 }, async ({ err }) => {
    if (err) app.log.error(err)
    await app.close()
  })
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  for (let i = 0; i < ACCOUNTS; i++) {
    await fetch(`${url}/accounts`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ email: `${i}@example.com` })
    })
  }
  await app.background.idle()
  console.log(`\nThe metrics are at ${url}/metrics (Ctrl-C to close)`)
}

if (require.main === module) main()
