// Question: does a task cost more as there is more of everything?
// Measured as CPU time per run of a short async function, while the number of runs queued at once grows from 10 to 1,000,000,
// against fastq and fastq.promise, without a limit (all costs more once the garbage collector sees a million objects), and
// the number of definitions that take turns; and as CPU time of the server per request with one task, while the number of
// replies to slow clients, each open with a task of its own that waits for it, grows to 10,000, and the number of routes with a
// task of their own, against Fastify alone under the same; with many routes also against Fastify with three empty hooks on each,
// since hooks of a route are functions of its own, which no processor has at hand for a thousand of them. Each size in several
// processes; medians with a 95 % interval.
import { once } from 'node:events'
import { connect } from 'node:net'
import process from 'node:process'
import { Readable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import Fastify from 'fastify'
import background, { defineTask } from 'fastify-background'
import fastq from 'fastq'
import { columns, measureRequests, measureWork, openServer, openWorker, takeTurns } from './lib/alternate.mjs'
import { print } from './lib/print.mjs'
import { estimate, goal } from './lib/stats.mjs'

const FILE = import.meta.url
const OURS = 'the plugin'
const ALONE = 'Fastify alone'
const HOOKS = 'Fastify with empty hooks'

let ran = 0
async function task () { ran++ }
const answer = async () => ({ hello: 'world' })

const queues = {
  async [OURS] () {
    const app = Fastify()
    await app.register(background)
    return inPortions(async (amount) => {
      for (let i = 0; i < amount; i++) app.background.addTask(task, i)
      await app.background.idle()
    })
  },

  async fastq () {
    const queue = fastq((argument, done) => { task(argument).then(() => done(null), done) }, Infinity)
    return inPortions(async (amount) => {
      const drained = new Promise((resolve) => { queue.drain = resolve })
      for (let i = 0; i < amount; i++) queue.push(i, ignore)
      await drained
    })
  },

  async 'fastq.promise' () {
    const queue = fastq.promise(task, Infinity)
    return inPortions(async (amount) => {
      for (let i = 0; i < amount; i++) queue.push(i)
      await queue.drained()
    })
  }
}

async function definitions () {
  const app = Fastify()
  await app.register(background)
  const bySize = new Map()
  return async ({ runs, size }) => {
    const before = ran
    // Made in the rounds to warm up.
    if (!bySize.has(size)) bySize.set(size, Array.from({ length: size }, (_, i) => defineTask(task, { name: `task-${i}` })))
    const defined = bySize.get(size)
    for (let i = 0; i < runs; i++) app.background.addTask(defined[i % size], i)
    await app.background.idle()
    return { ran: ran - before }
  }
}

// An open reply: a first byte, and no other until the client leaves.
async function slow (app) {
  app.get('/slow', async (request, reply) => {
    reply.background?.addTask(task)
    const stream = new Readable({ read () {} })
    stream.push('…')
    return stream
  })
}

const servers = {
  async [`${OURS}, open replies`] (app) {
    await app.register(background)
    await slow(app)
    app.get('/', async (request, reply) => {
      reply.background.addTask(task)
      return { hello: 'world' }
    })
    return () => ran
  },

  async [`${ALONE}, open replies`] (app) {
    await slow(app)
    app.get('/', answer)
    return () => 0
  },

  async [`${OURS}, routes`] (app) {
    await app.register(background)
    addRoutes(app, { background: task })
    return () => ran
  },

  async [`${HOOKS}, routes`] (app) {
    app.addHook('onRoute', (route) => {
      route.onRequest = (request, reply, done) => done()
      route.onSend = (request, reply, payload, done) => done()
      route.onResponse = (request, reply, done) => done()
    })
    addRoutes(app, {})
    return () => 0
  },

  async [`${ALONE}, routes`] (app) {
    addRoutes(app, {})
    return () => 0
  }
}

function addRoutes (app, options) {
  for (let i = 0; i < Number(process.env.BENCH_ROUTES); i++) app.get(`/${i}`, { ...options, exposeHeadRoute: false }, answer)
}

export const variants = { ...queues, definitions, ...servers }

// As often as it takes to have something to measure.
function inPortions (work) {
  return async ({ runs, size }) => {
    const before = ran
    for (let done = 0; done < runs; done += size) await work(size)
    return { ran: ran - before }
  }
}

function ignore () {}

export async function measure ({ smoke }) {
  const powers = (from, to) => Array.from({ length: Math.log10(to / from) + 1 }, (_, i) => from * 10 ** i)
  const counts = smoke
    ? { processes: 1, rounds: 1, warmUp: 0, runs: 1_000, requests: 100 }
    : { processes: 4, rounds: 3, warmUp: 1, runs: 100_000, requests: 4_000 }
  return {
    rounds: counts.rounds,
    queued: await measureWorkers(Object.keys(queues), powers(10, smoke ? 10_000 : 1_000_000), counts),
    definitions: await measureWorkers(['definitions'], smoke ? [1, 100] : [1, 10, 100, 1_000, 10_000], counts),
    open: await measureOpen(smoke ? [10, 100] : [10, 100, 1_000, 5_000, 10_000], counts),
    routes: await measureRoutes(smoke ? [10] : powers(10, 10_000), counts)
  }
}

async function measureWorkers (names, sizes, { processes, rounds, warmUp, runs }) {
  const values = await takeTurns(names, {
    processes,
    rounds,
    warmUp,
    open: (name) => openWorker(FILE, name, { execArgv: ['--max-old-space-size=8192'] }),
    measure: (worker, name) => inTurn(sizes, async (size) => {
      const order = { runs: Math.max(runs, size), size }
      return (await measureWork(worker, name, order, (outcome) => outcome.ran === order.runs ? undefined : `${outcome.ran} ran`)).cpu
    })
  })
  return { sizes, values: columns(values) }
}

async function measureOpen (sizes, { processes, rounds, warmUp, requests }) {
  const values = await takeTurns([`${OURS}, open replies`, `${ALONE}, open replies`], {
    processes,
    rounds,
    warmUp,
    async open (name) {
      const server = await openServer(FILE, name)
      const clients = []
      return {
        ...server,
        clients,
        async close () {
          for (const client of clients) client.destroy()
          await server.close()
        }
      }
    },
    async measure (server, name) {
      const hasTasks = name.startsWith(OURS)
      const record = await inTurn(sizes, async (size) => {
        await holdOpen(server, size, hasTasks)
        return (await measureRequests(server, { name, requests, tasks: hasTasks ? requests : 0 })).cpu
      })
      // A process may not have as many connections as all variants would hold.
      await holdOpen(server, 0, hasTasks)
      return record
    }
  })
  return { sizes, values: columns(values) }
}

// Where there are tasks, those of clients that leave run then.
async function holdOpen ({ url, clients, report }, size, hasTasks) {
  const { hostname, port } = new URL(url)
  const { ran: before } = await report()
  const leaving = clients.splice(size)
  for (const client of leaving) client.destroy()
  while (clients.length < size) {
    const batch = await Promise.all(Array.from({ length: Math.min(200, size - clients.length) }, async () => {
      const client = connect(Number(port), hostname)
      client.on('error', ignore)
      client.write(`GET /slow HTTP/1.1\r\nHost: ${hostname}\r\n\r\n`)
      await once(client, 'data')
      return client
    }))
    clients.push(...batch)
  }
  const expected = before + (hasTasks ? leaving.length : 0)
  while ((await report()).ran < expected) await turn()
}

async function measureRoutes (sizes, { processes, rounds, warmUp, requests }) {
  const bySize = []
  for (const size of sizes) {
    process.env.BENCH_ROUTES = String(size)
    bySize.push(await takeTurns([`${OURS}, routes`, `${HOOKS}, routes`, `${ALONE}, routes`], {
      processes: Math.min(2, processes),
      rounds,
      warmUp: warmUp * 2,
      open: (name) => openServer(FILE, name),
      measure: async (server, name) =>
        (await measureRequests(server, { name, requests, pathOf: (i) => `/${i % size}`, tasks: name.startsWith(OURS) ? requests : 0 })).cpu
    }))
  }
  const names = Object.keys(bySize[0])
  return { sizes, values: Object.fromEntries(names.map((name) => [name, Object.fromEntries(sizes.map((size, i) => [size, bySize[i][name]]))])) }
}

async function inTurn (sizes, work) {
  const record = {}
  for (const size of sizes) record[size] = await work(size)
  return record
}

export function report ({ rounds, queued, definitions, open, routes }) {
  const table = (title, { sizes, values }) => ({
    title,
    columns: ['', ...sizes.map((size) => size.toLocaleString('en-US'))],
    rows: Object.entries(values).map(([name, bySize]) => [name, ...sizes.map((size) => estimate(bySize[size], rounds))])
  })
  const most = queued.sizes.at(-1)
  const growth = (name) => estimate(queued.values[name][most].map((value, i) => value / queued.values[name][1_000][i]), rounds)
  const curve = ({ sizes, values }) => Object.entries(values).map(([name, bySize]) =>
    ({ name: name.replace(/,.*/, ''), points: sizes.map((size) => [size, estimate(bySize[size], rounds).median]) }))
  return {
    tables: [
      table('µs of CPU per run, by the number queued at once', queued),
      {
        title: `What a run costs with ${most.toLocaleString('en-US')} queued, times with 1,000`,
        columns: ['', 'times'],
        rows: Object.keys(queued.values).map((name) => [name, growth(name)])
      },
      table('µs of CPU per run, by the number of definitions', definitions),
      table('µs of CPU per request, by the number of open replies (ours with a task each)', open),
      table('µs of CPU per request, by the number of routes (ours with a task each)', routes)
    ],
    goals: [
      goal(`what a run costs with ${most.toLocaleString('en-US')} queued, times with 1,000 (fastq's own figure is the limit)`, growth(OURS),
        { atMost: Number(growth('fastq').median.toFixed(2)) }),
      goal('CPU time per run with the most definitions, times with one', timesFirst(definitions, 'definitions', rounds), { atMost: 1.1 }),
      goal('CPU time per request with the most open replies, less what Fastify alone needs, times with the fewest', lessFastify(open, rounds), { atMost: 1.25 }),
      goal('CPU time per request with the most routes, less what Fastify with empty hooks needs, times with the fewest', lessFastify(routes, rounds), { atMost: 1.25 })
    ],
    charts: [
      { kind: 'lines', name: 'scale-queued', title: 'µs of CPU per run, by the number queued at once', series: curve(queued) },
      { kind: 'lines', name: 'scale-open', title: 'µs of CPU per request, by the number of open replies', series: curve(open) }
    ]
  }
}

function timesFirst ({ sizes, values }, name, rounds) {
  return estimate(values[name][sizes.at(-1)].map((value, i) => value / values[name][sizes[0]][i]), rounds)
}

function lessFastify ({ sizes, values }, rounds) {
  const [ours, fastify] = Object.values(values)
  const more = (size, i) => ours[size][i] - fastify[size][i]
  return estimate(ours[sizes[0]].map((_, i) => more(sizes.at(-1), i) / more(sizes[0], i)), rounds)
}

if (process.argv[1] === fileURLToPath(FILE)) print(report(await measure({ smoke: false })))
