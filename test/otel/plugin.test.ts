import { context, trace } from '@opentelemetry/api'
import Fastify from 'fastify'
import t from 'tap'
import { telemetry, type TelemetryOptions } from '../../lib/otel/otel'
import { createApp } from '../helpers/app'

for (const [what, options, message] of [
  ['tracerProvider', { tracerProvider: {} }, 'a provider with getTracer()'],
  ['tracerProvider', { tracerProvider: null }, 'a provider with getTracer()'],
  ['meterProvider', { meterProvider: 'global' }, 'a provider with getMeter()'],
  ['tracer', { tracer: trace.getTracer('mine') }, "one of 'tracerProvider', 'meterProvider'"]
] as Array<[string, TelemetryOptions, string]>) {
  t.test(`otel: a wrong or unknown option is named at registration: ${JSON.stringify(options)}`, async (t) => {
    const app = await createApp(t)
    await t.rejects(async () => { await app.register(telemetry, options) }, {
      code: 'FST_ERR_BACKGROUND_INVALID_OPTION', message: new RegExp(`"${what}": expected ${message.replace(/[()]/g, '\\$&')}, got`)
    })
  })
}

t.test('otel: the options that Fastify has for every plugin pass', async (t) => {
  const app = await createApp(t)
  await t.resolves(async () => { await app.register(telemetry, { prefix: '/v1', logLevel: 'warn' } as TelemetryOptions) })
})

t.test('otel: without fastify-background the application does not start, and says why', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await t.rejects(async () => { await app.register(telemetry) }, { message: /'fastify-background'/ })
})

t.test('otel: without an SDK, tasks run as ever', async (t) => {
  const app = await createApp(t)
  await app.register(telemetry)
  const { result } = await app.background.addTask(async (word: string) => {
    await null
    return [word, context.active() !== undefined, trace.getActiveSpan()?.isRecording() ?? false]
  }, 'done').finished()
  t.strictSame(result, ['done', true, false])
  const failed = await app.background.addTask(() => { throw new Error('broken') }).finished()
  t.equal(failed.state, 'failed')
})
