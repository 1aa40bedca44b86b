// The SDK of OpenTelemetry with its exporters in memory.
import { context, propagation, ROOT_CONTEXT, trace, type Attributes, type Context } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import {
  AggregationTemporality, InMemoryMetricExporter, MeterProvider, PeriodicExportingMetricReader, type Histogram
} from '@opentelemetry/sdk-metrics'
import {
  BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor, type ReadableSpan, type Sampler
} from '@opentelemetry/sdk-trace-base'
import type { FastifyInstance } from 'fastify'
import type background from '../../lib/index'
import { telemetry } from '../../lib/otel/otel'
import { createApp } from './app'

interface Test { teardown: (fn: () => unknown) => void }

/** What all tests of a process share: there is one of each in OpenTelemetry. */
export function setGlobals (): void {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  propagation.setGlobalPropagator(new W3CTraceContextPropagator())
}

export interface Tracing {
  provider: BasicTracerProvider
  /** The spans that have ended, of a name that begins so, in the order of their ends. */
  spans: (name?: string) => ReadableSpan[]
  /** Calls `fn` in a span of this name. */
  within: <T>(name: string, fn: () => T, parent?: Context) => T
}

export function tracing (t: Test, sampler?: Sampler): Tracing {
  const exporter = new InMemorySpanExporter()
  const provider = new BasicTracerProvider({ sampler, spanProcessors: [new SimpleSpanProcessor(exporter)] })
  t.teardown(() => provider.shutdown())
  const tracer = provider.getTracer('test')
  return {
    provider,
    spans: (name = '') => exporter.getFinishedSpans().filter((span) => span.name.startsWith(name)),
    within: (name, fn, parent = ROOT_CONTEXT) => {
      const span = tracer.startSpan(name, {}, parent)
      try {
        return context.with(trace.setSpan(parent, span), fn)
      } finally {
        span.end()
      }
    }
  }
}

export interface Point { attributes: Attributes, value: unknown }

export interface Metering {
  provider: MeterProvider
  /** The values of an instrument, as they are now. */
  points: (name: string) => Promise<Point[]>
}

export function metering (t: Test): Metering {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })
  const provider = new MeterProvider({ readers: [reader] })
  t.teardown(() => provider.shutdown())
  return {
    provider,
    async points (name) {
      await reader.forceFlush()
      const metrics = exporter.getMetrics().at(-1)!.scopeMetrics.flatMap((scope) => scope.metrics)
      const found = metrics.find((metric) => metric.descriptor.name === name)
      return (found?.dataPoints ?? []).map(({ attributes, value }) => ({ attributes, value }))
    }
  }
}

export function countOf ({ value }: Point): number {
  return (value as Histogram).count
}

/** A fresh app with the plugin and its telemetry. */
export async function createTracedApp (
  t: Test, { sampler, ...options }: background.BackgroundOptions & { sampler?: Sampler } = {}
): Promise<Omit<Tracing & Metering, 'provider'> & { app: FastifyInstance, metering: Metering }> {
  const traces = tracing(t, sampler)
  const metrics = metering(t)
  const app = await createApp(t, options)
  await app.register(telemetry, { tracerProvider: traces.provider, meterProvider: metrics.provider })
  return { app, spans: traces.spans, within: traces.within, points: metrics.points, metering: metrics }
}
