import { expectTypeOf } from 'expect-type'
import { metrics, trace, type MeterProvider, type TracerProvider } from '@opentelemetry/api'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import { telemetry, type TelemetryOptions } from 'fastify-background/otel'
import required = require('fastify-background/otel')

declare const app: FastifyInstance

expectTypeOf(telemetry).toExtend<FastifyPluginAsync<TelemetryOptions>>()
expectTypeOf(required.telemetry).toEqualTypeOf(telemetry)
expectTypeOf<TelemetryOptions>().toEqualTypeOf<{ tracerProvider?: TracerProvider, meterProvider?: MeterProvider }>()

app.register(telemetry)
app.register(required.telemetry, { tracerProvider: trace.getTracerProvider(), meterProvider: metrics.getMeterProvider() })
// @ts-expect-error a tracer is no provider
app.register(telemetry, { tracerProvider: trace.getTracer('mine') })
// @ts-expect-error not an option
app.register(telemetry, { tracer: trace.getTracer('mine') })
