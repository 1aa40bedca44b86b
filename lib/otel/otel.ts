import { metrics, trace, type MeterProvider, type TracerProvider } from '@opentelemetry/api'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import { assertOptions, type Check, type Checks } from '../checks'
import { FASTIFY_OPTIONS } from '../options'
import { listenTo } from './listen'
import { Measures } from './measures'
import { observePending } from './pending'
import { Spans } from './spans'

const { name, version }: { name: string, version: string } = require('../../package.json')

export interface TelemetryOptions {
  /** Where spans go. @default the global one, which may still come */
  tracerProvider?: TracerProvider
  /** Where metrics go. @default the global one of the moment of registration */
  meterProvider?: MeterProvider
}

const CHECKS: Checks<TelemetryOptions> = {
  tracerProvider: providerOf('getTracer'),
  meterProvider: providerOf('getMeter')
}

async function fastifyBackgroundTelemetry (app: FastifyInstance, options: TelemetryOptions): Promise<void> {
  assertOptions<TelemetryOptions>(options, CHECKS, FASTIFY_OPTIONS)
  const { tracerProvider = trace.getTracerProvider(), meterProvider = metrics.getMeterProvider() } = options
  const { background } = app
  const meter = meterProvider.getMeter(name, version)

  listenTo(background, { spans: new Spans(tracerProvider.getTracer(name, version)), measures: new Measures(meter) })
  const stop = observePending(meter, background)
  // Plugins that were registered earlier close later, fastify-background among them: its last runs are still to come.
  app.addHook('onClose', async function stopObserving () { background.idle().then(stop) })
}

function providerOf (method: string): Check {
  return [`a provider with ${method}()`, (value) => typeof (value as Record<string, unknown> | null)?.[method] === 'function']
}

/**
 * Traces and metrics of background tasks, by OpenTelemetry: `await app.register(telemetry)`, after fastify-background.
 * Needs the package @opentelemetry/api; without an SDK that is set up before, it does nothing.
 *
 * After the messaging conventions: https://opentelemetry.io/docs/specs/semconv/messaging/
 *
 * @throws `FST_ERR_BACKGROUND_INVALID_OPTION` at registration, for a wrong or unknown option.
 */
export const telemetry: FastifyPluginAsync<TelemetryOptions> = fp(fastifyBackgroundTelemetry, {
  fastify: '5.x', name: 'fastify-background/otel', dependencies: ['fastify-background']
})
