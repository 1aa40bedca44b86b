// Question: what do background tasks do to the time that replies take?
// Measured from when a request was due to the last byte of its reply, at 2,000 requests per second whether those before
// have been answered or not, so that a server that stalls is not asked less (coordinated omission). Without tasks; each with
// an asynchronous task of 50 ms, and the same by hand, which an async onResponse hook awaits; each with a row of ten
// synchronous tasks of 20 µs; every hundredth with a task that burns 10 ms of CPU, in the process, and in a worker thread.
// p50, p99 and so on of each round; the variants alternate, in several processes each; medians, and of the pairs with those
// without tasks, with a 95 % confidence interval. The server has one core, its threads too, and the load has another.
import process from 'node:process'
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import background from 'fastify-background'
import { columns, measureLoad, measureRequests, openServer, takeTurns } from './lib/alternate.mjs'
import { runByHand } from './lib/by-hand.mjs'
import { openLoad } from './lib/open-load.mjs'
import { print } from './lib/print.mjs'
import { estimate, goal, quantile, ratios } from './lib/stats.mjs'

const RATE = 2_000
const ROW = 10
const CPU_EVERY = 100
const QUANTILES = { p50: 0.5, p95: 0.95, p99: 0.99, 'p99.9': 0.999 }
const NONE = 'no tasks'
const ASYNC = '50 ms, asynchronous, each'
const BY_HAND = '50 ms, asynchronous, each, by hand'
const ROWS = '10 × 20 µs, synchronous, each'
const BURNING = '10 ms of CPU, one in 100'
const THREADS = '10 ms of CPU, one in 100, in threads'
// How many a request.
const TASKS = { [NONE]: 0, [ASYNC]: 1, [BY_HAND]: 1, [ROWS]: ROW, [BURNING]: 1 / CPU_EVERY, [THREADS]: 1 / CPU_EVERY }
const BURN_FILE = new URL('lib/burn.mjs', import.meta.url)

let ran = 0

async function serve (app, attach) {
  await app.register(background)
  let requests = 0
  app.get('/', async (request, reply) => {
    attach?.(reply, requests++)
    return { hello: 'world' }
  })
  return () => ran
}

async function wait () {
  await sleep(50)
  ran++
}

function burn (milliseconds) {
  const end = performance.now() + milliseconds
  while (performance.now() < end);
  ran++
}

export const variants = {
  [NONE]: async (app) => await serve(app),

  [ASYNC]: async (app) => await serve(app, (reply) => reply.background.addTask(wait)),

  async [BY_HAND] (app) {
    runByHand(app)
    app.get('/', async (request, reply) => {
      reply.tasks = [[wait, []]]
      return { hello: 'world' }
    })
    return () => ran
  },

  [ROWS]: async (app) => await serve(app, (reply) => {
    for (let i = 0; i < ROW; i++) reply.background.addTask(burn, 0.02)
  }),

  [BURNING]: async (app) => await serve(app, (reply, number) => {
    if (number % CPU_EVERY === 0) reply.background.addTask(burn, 10)
  }),

  async [THREADS] (app) {
    const { threadTask } = await import('fastify-background/threads')
    const burnInThread = threadTask(BURN_FILE)
    return await serve(app, (reply, number) => {
      if (number % CPU_EVERY === 0) reply.background.addTask(burnInThread, 10).finished().then(() => { ran++ })
    })
  }
}

export async function measure ({ smoke }) {
  const [processes, rounds, requests, first] = smoke ? [1, 1, 200, 100] : [5, 12, 2_000, 10_000]
  const values = await takeTurns(Object.keys(variants), {
    processes,
    rounds,
    warmUp: smoke ? 0 : 1,
    // Fewer than some thousand, and it is the compiler that is measured.
    async open (name) {
      const server = await openServer(import.meta.url, name)
      await measureRequests(server, { name, requests: first, tasks: first * TASKS[name] })
      return server
    },
    measure: (server, name) => measureLatency(server, name, requests, requests * TASKS[name])
  })
  return { rounds, values: columns(values) }
}

async function measureLatency (server, name, requests, tasks) {
  let waits
  const { cpu } = await measureLoad(server, name, requests, tasks, async () => { waits = await openLoad(server.url, requests, RATE) })
  return { ...Object.fromEntries(Object.entries(QUANTILES).map(([quantileName, share]) => [quantileName, quantile(waits, share)])), cpu }
}

export function report ({ rounds, values }) {
  const names = Object.keys(values)
  const quantiles = Object.keys(QUANTILES)
  const times = (name, each, of = NONE) => estimate(ratios(values[name][each], values[of][each]), rounds)
  return {
    tables: [{
      title: `Milliseconds to the last byte, at ${RATE} requests per second`,
      columns: ['', ...quantiles, 'µs of CPU per request'],
      rows: names.map((name) => [name, ...quantiles.map((each) => estimate(values[name][each], rounds)), estimate(values[name].cpu, rounds)])
    }, {
      title: 'Times that without tasks, in pairs',
      columns: ['', ...quantiles],
      rows: names.slice(1).map((name) => [name, ...quantiles.map((each) => times(name, each))])
    }, {
      title: 'The plugin with 50 ms tasks, times by hand, in pairs',
      columns: quantiles,
      rows: [quantiles.map((each) => times(ASYNC, each, BY_HAND))]
    }],
    goals: [
      goal('p95 with 50 ms tasks, times without', times(ASYNC, 'p95'), { atMost: 1.1 }),
      goal('p99 with 50 ms tasks, times without', times(ASYNC, 'p99'), { atMost: 1.25 })
    ],
    charts: [{
      kind: 'bars',
      name: 'latency',
      title: 'Time to the last byte of a reply, ms (less is better)',
      series: ['p50', 'p99', 'p99.9'],
      bars: names.map((name) => ({ label: name, ours: name !== NONE, values: ['p50', 'p99', 'p99.9'].map((each) => estimate(values[name][each], rounds)) }))
    }]
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) print(report(await measure({ smoke: false })))
