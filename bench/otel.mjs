// Question: what does telemetry cost a run while nothing is exported?
// Measured as CPU time of a process per run of an empty async function outside a request: without `/otel`, with it and no
// SDK, and with an SDK that samples nothing and has no reader. The variants alternate, in several processes each; medians
// of the pairs with a 95 % confidence interval. The goal: at most 5 µs more.
import { tracingChannel } from 'node:diagnostics_channel'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { context } from '@opentelemetry/api'
import { MeterProvider } from '@opentelemetry/sdk-metrics'
import { AlwaysOffSampler, BasicTracerProvider } from '@opentelemetry/sdk-trace-base'
import Fastify from 'fastify'
import background from 'fastify-background'
import { telemetry } from 'fastify-background/otel'
import { alternateWork } from './lib/alternate.mjs'
import { printMedian } from './lib/stats.mjs'

const BATCH = 1_000

export const variants = {
  without: () => prepare(),
  registered: () => prepare({}),
  sdk () {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
    return prepare({ tracerProvider: new BasicTracerProvider({ sampler: new AlwaysOffSampler() }), meterProvider: new MeterProvider() })
  }
}

async function prepare (options) {
  const app = Fastify()
  await app.register(background)
  if (options !== undefined) await app.register(telemetry, options)
  // Else nothing would be measured.
  if (tracingChannel('fastify.background.task').hasSubscribers !== (options !== undefined)) throw new Error('telemetry: listens where it should not, or does not where it should')
  let ran = 0
  async function task () { ran++ }
  return async (runs) => {
    const before = ran
    for (let i = 0; i < runs; i += BATCH) {
      for (let j = 0; j < BATCH; j++) app.background.addTask(task)
      await app.background.idle()
    }
    return ran - before
  }
}

export async function run ({ smoke = false } = {}) {
  const [processes, rounds, runs] = smoke ? [2, 2, 2_000] : [6, 5, 50_000]
  const values = await alternateWork(import.meta.url, Object.keys(variants), {
    processes,
    rounds,
    runs,
    check: (count) => count === runs ? undefined : `${count} tasks ran, expected ${runs}`
  })
  const of = (name) => values.get(name).map(({ cpu }) => cpu)
  const more = (name) => of(name).map((value, i) => value - of('without')[i])
  printMedian('without telemetry, µs of CPU per run', of('without'), rounds)
  printMedian('more with it, without an SDK', more('registered'), rounds)
  printMedian('more with an SDK that samples nothing', more('sdk'), rounds)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await run()
