// Question: what does telemetry cost a run while nothing is exported?
// Measured as CPU time of a process per run of an empty async function outside a request: without `/otel`, with it and no
// SDK, and with an SDK that samples nothing and has no reader. The variants alternate, in several processes each; medians
// of the pairs with a 95 % confidence interval.
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
import { print } from './lib/print.mjs'
import { differences, estimate, goal } from './lib/stats.mjs'

const BATCH = 1_000
const WITHOUT = 'without'
const REGISTERED = 'with it, and no SDK'
const SDK = 'with an SDK that samples nothing'

export const variants = {
  [WITHOUT]: () => prepare(),
  [REGISTERED]: () => prepare({}),
  [SDK] () {
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
  return async ({ runs }) => {
    const before = ran
    for (let i = 0; i < runs; i += BATCH) {
      for (let j = 0; j < BATCH; j++) app.background.addTask(task)
      await app.background.idle()
    }
    return { ran: ran - before }
  }
}

export async function measure ({ smoke }) {
  const [processes, rounds, warmUp, runs] = smoke ? [1, 1, 0, 2_000] : [6, 5, 2, 50_000]
  const values = await alternateWork(import.meta.url, Object.keys(variants), {
    processes,
    rounds,
    warmUp,
    order: { runs },
    check: ({ ran }) => ran === runs ? undefined : `${ran} tasks ran, expected ${runs}`
  })
  return { rounds, values }
}

export function report ({ rounds, values }) {
  const more = (name) => estimate(differences(values[name].cpu, values[WITHOUT].cpu), rounds)
  return {
    tables: [{
      columns: ['', 'µs of CPU per run', 'µs more than without'],
      rows: Object.keys(values).map((name) => [name, estimate(values[name].cpu, rounds), more(name)])
    }],
    goals: [
      goal('µs of CPU per run that telemetry costs without an SDK', more(REGISTERED), { atMost: 5 }),
      goal('µs of CPU per run that it costs while nothing is exported', more(SDK), { atMost: 5 })
    ],
    charts: []
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) print(report(await measure({ smoke: false })))
