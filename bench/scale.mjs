// Question: does a task cost more as there is more of everything?
// Measured as CPU time per run of a short async function, while the number of runs queued at once grows from 10 to 1,000,000,
// against fastq and fastq.promise, without a limit (all costs more once the garbage collector sees a million objects), and
// the number of definitions, of fastq's own functions, that take turns; and as CPU time of the server per request with one
// task, while the number of replies to slow clients, each open with a task of its own that waits for it, grows to 10,000, and
// the number of routes with a task of their own, against Fastify alone under the same, and with a hook by hand that hands the
// task to fastq once the reply has left: how each grows, in pairs with fastq. Each size in several processes; medians with a
// 95 % interval.
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
import { estimate, goal, ratios } from './lib/stats.mjs'

const FILE = import.meta.url
const OURS = 'the plugin'
const FASTQ = 'fastq'
const ALONE = 'Fastify alone'

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

  async [FASTQ] () {
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

const definitions = {
  async [`${OURS}, definitions`] () {
    const app = Fastify()
    await app.register(background)
    return inTurns((i) => defineTask(task, { name: `task-${i}` }), async (defined, runs) => {
      for (let i = 0; i < runs; i++) app.background.addTask(defined[i % defined.length], i)
      await app.background.idle()
    })
  },

  async [`${FASTQ}, definitions`] () {
    const queue = queueOfFunctions()
    return inTurns(() => async (argument) => await task(argument), async (functions, runs) => {
      const drained = new Promise((resolve) => { queue.drain = resolve })
      for (let i = 0; i < runs; i++) queue.push({ fn: functions[i % functions.length], argument: i }, ignore)
      await drained
    })
  }
}

// An open reply: a first byte, and no other until the client leaves.
async function slow (app, addTask) {
  app.get('/slow', async (request, reply) => {
    addTask?.(reply)
    const stream = new Readable({ read () {} })
    stream.push('…')
    return stream
  })
}

function queueOfFunctions () {
  return fastq(({ fn, argument }, done) => { fn(argument).then(() => done(null), done) }, Infinity)
}

// What one writes by hand: a hook that hands the task to a queue once the reply has left, or its client has.
function queueByHand () {
  const queue = queueOfFunctions()
  return { push (fn) { queue.push({ fn }, ignore) } }
}

const servers = {
  async [`${OURS}, open replies`] (app) {
    await app.register(background)
    await slow(app, (reply) => reply.background.addTask(task))
    app.get('/', async (request, reply) => {
      reply.background.addTask(task)
      return { hello: 'world' }
    })
    return () => ran
  },

  async [`${FASTQ}, open replies`] (app) {
    const queue = queueByHand()
    const addTask = (reply) => reply.raw.once('close', () => queue.push(task))
    await slow(app, addTask)
    app.get('/', async (request, reply) => {
      addTask(reply)
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
    addRoutes(app, () => ({ background: task }))
    return () => ran
  },

  async [`${FASTQ}, routes`] (app) {
    const queue = queueByHand()
    addRoutes(app, () => ({
      onResponse (request, reply, done) {
        queue.push(task)
        done()
      }
    }))
    return () => ran
  },

  async [`${ALONE}, routes`] (app) {
    addRoutes(app, () => ({}))
    return () => 0
  }
}

function addRoutes (app, optionsOf) {
  for (let i = 0; i < Number(process.env.BENCH_ROUTES); i++) app.get(`/${i}`, { ...optionsOf(), exposeHeadRoute: false }, answer)
}

export const variants = { ...queues, ...definitions, ...servers }

// As often as it takes to have something to measure.
function inPortions (work) {
  return async ({ runs, size }) => {
    const before = ran
    for (let done = 0; done < runs; done += size) await work(size)
    return { ran: ran - before }
  }
}

// Each of so many in turn. They are made in the rounds to warm up.
function inTurns (make, work) {
  const bySize = new Map()
  return async ({ runs, size }) => {
    const before = ran
    if (!bySize.has(size)) bySize.set(size, Array.from({ length: size }, (_, i) => make(i)))
    await work(bySize.get(size), runs)
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
    definitions: await measureWorkers(Object.keys(definitions), smoke ? [1, 100] : [1, 10, 100, 1_000, 10_000], counts),
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
  const values = await takeTurns(namesOf('open replies'), {
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
      const hasTasks = !name.startsWith(ALONE)
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
    bySize.push(await takeTurns(namesOf('routes'), {
      processes: Math.min(2, processes),
      rounds,
      warmUp: warmUp * 2,
      open: (name) => openServer(FILE, name),
      measure: async (server, name) =>
        (await measureRequests(server, { name, requests, pathOf: (i) => `/${i % size}`, tasks: name.startsWith(ALONE) ? 0 : requests })).cpu
    }))
  }
  const names = Object.keys(bySize[0])
  return { sizes, values: Object.fromEntries(names.map((name) => [name, Object.fromEntries(sizes.map((size, i) => [size, bySize[i][name]]))])) }
}

function namesOf (what) {
  return [OURS, FASTQ, ALONE].map((who) => `${who}, ${what}`)
}

async function inTurn (sizes, work) {
  const record = {}
  for (const size of sizes) record[size] = await work(size)
  return record
}

export function report ({ rounds, queued, definitions, open, routes }) {
  const table = (title, { sizes, values }) => ({
    title,
    columns: ['', ...sizes.map(inWords)],
    rows: Object.entries(values).map(([name, bySize]) => [name, ...sizes.map((size) => estimate(bySize[size], rounds))])
  })
  const curves = [
    // Fewer at once, and it is the wait for the last that costs.
    { each: 'run', of: 'runs queued at once', curve: queued, from: 1_000 },
    { each: 'run', of: 'definitions', curve: definitions },
    { each: 'request', of: 'open replies', curve: open },
    { each: 'request', of: 'routes', curve: routes }
  ].map((part) => ({ from: part.curve.sizes[0], to: part.curve.sizes.at(-1), ...part }))
  const what = ({ each, of, from, to }) => `a ${each} with ${inWords(to)} ${of}, times with ${inWords(from)}`
  const growth = ({ curve: { values }, from, to }, who) => {
    const [, bySize] = Object.entries(values).find(([name]) => shortOf(name) === who)
    return ratios(bySize[to], bySize[from])
  }
  const points = ({ sizes, values }) => Object.entries(values).map(([name, bySize]) =>
    ({ name: shortOf(name), points: sizes.map((size) => [size, estimate(bySize[size], rounds).median]) }))
  return {
    tables: [
      ...curves.map(({ each, of, curve }) => table(`µs of CPU per ${each}, by the number of ${of}`, curve)),
      {
        title: 'How the cost grows',
        columns: ['', OURS, FASTQ, 'the plugin, times fastq'],
        rows: curves.map((curve) => {
          const [ours, fastqs] = [OURS, FASTQ].map((who) => growth(curve, who))
          return [what(curve), ...[ours, fastqs, ratios(ours, fastqs)].map((values) => estimate(values, rounds))]
        })
      }
    ],
    goals: curves.map((curve) =>
      goal(`cost of ${what(curve)}, as a share of fastq's`, estimate(ratios(growth(curve, OURS), growth(curve, FASTQ)), rounds), { atMost: 1 })),
    charts: [
      { kind: 'lines', name: 'scale-queued', title: 'µs of CPU per run, by the number queued at once', series: points(queued) },
      { kind: 'lines', name: 'scale-open', title: 'µs of CPU per request, by the number of open replies', series: points(open) }
    ]
  }
}

function shortOf (name) {
  return name.replace(/,.*/, '')
}

function inWords (size) {
  return size.toLocaleString('en-US')
}

if (process.argv[1] === fileURLToPath(FILE)) print(report(await measure({ smoke: false })))
