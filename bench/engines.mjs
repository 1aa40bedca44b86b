// Question: what do durable tasks cost beside raw use of the same store, how soon do they start, and what does an engine
// cost where it is not used?
// Storing is measured inside requests, 32 at once: the time per request by the clock, since it is the store that takes it.
// Working: the time per task by the clock, at a concurrency of 10, of what was stored before, in processes that have just
// worked as many others. The start: the time from `addTask` to the first line of the task, one task after the other, outside a
// request. An engine that is not used: CPU time of the server per request. The variants alternate, in several processes each;
// medians of the pairs with a 95 % confidence interval. Redis appends to its file, as it has to for tasks that are not to be
// lost, and both keep as many finished jobs. Raw use is one call a request: `queue.add`, `queue.addBulk`, or `put` with a sync;
// writers of the journal share a sync where they come together, so it may be ahead.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { setImmediate as turn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Queue, Worker } from 'bullmq'
import { ClassicLevel } from 'classic-level'
import Fastify from 'fastify'
import background, { defineTask } from 'fastify-background'
import { bullmq } from 'fastify-background/bullmq'
import { journal } from 'fastify-background/journal'
import { alternate, alternateWork } from './lib/alternate.mjs'
import { startRedis } from './lib/redis.mjs'
import { print } from './lib/print.mjs'
import { estimate, goal, ratios } from './lib/stats.mjs'

const CONNECTIONS = 32
const CONCURRENCY = 10
// A worker is one for all its life: to begin with, it is the compiler that is measured.
const WORKED = { runs: 30_000, before: 30_000 }
const BATCH = 1_000
const { BENCH_DIRECTORY: directory, BENCH_REDIS: redis } = process.env
const ARGS = ['ada@example.com', { subject: 'Welcome', lines: ['one', 'two'] }]

// What the plugin's workers keep by default, with ages in seconds.
const KEEP = { removeOnComplete: { count: 1_000, age: 3_600 }, removeOnFail: { count: 1_000, age: 604_800 } }
const raw = () => ({ connection: { url: redis, enableOfflineQueue: false, maxRetriesPerRequest: 1 } })
let number = 0
const place = () => join(directory, `${process.pid}-${number++}`)

const store = defineTask(async () => {}, { name: 'store', durable: true })

async function storing (app, engine) {
  let stored = 0
  // A process that only stores; the journal has none: there the tasks run as well.
  await app.register(background, { engine, tasks: [store], worker: engine.features.local })
  app.addHook('onResponse', function count (request, reply, done) {
    stored++
    done()
  })
  app.get('/', async (request, reply) => {
    reply.background.addTask(store, ...ARGS)
    return { hello: 'world' }
  })
  return () => stored
}

async function storingRaw (app, put) {
  let stored = 0
  app.addHook('onResponse', function count (request, reply, done) {
    stored++
    done()
  })
  app.get('/', async () => {
    await put()
    return { hello: 'world' }
  })
  return () => stored
}

async function answering (app, options) {
  let ran = 0
  await app.register(background, options)
  app.get('/', async (request, reply) => {
    reply.background.addTask(() => { ran++ })
    return { hello: 'world' }
  })
  return () => ran
}

async function starting (engine) {
  const app = Fastify()
  const noted = {}
  const task = defineTask(async (addedAt) => { noted.wait = performance.now() - addedAt }, { name: 'start', durable: engine !== undefined })
  await app.register(background, engine === undefined ? {} : { engine, tasks: [task] })
  await app.ready()
  return async ({ runs }) => {
    let waited = 0
    for (let i = 0; i < runs; i++) {
      delete noted.wait
      app.background.addTask(task, performance.now())
      await app.background.idle()
      while (noted.wait === undefined) await turn()
      waited += noted.wait
    }
    return { elapsed: waited * 1_000, left: 0 }
  }
}

/** Counts runs down, and measures what the last `runs` of them take, from when the first of these begins to when the last does. */
function countdown ({ runs, before }) {
  let left = before + runs
  let began
  let cpu
  let finish
  const finished = new Promise((resolve) => { finish = resolve })
  function count () {
    if (left === runs) {
      began = performance.now()
      cpu = process.cpuUsage()
    }
    if (--left > 0) return
    const { user, system } = process.cpuUsage(cpu)
    finish({ elapsed: (performance.now() - began) * 1_000, cpu: user + system })
  }
  return { count, outcome: async () => ({ ...await finished, left }) }
}

async function inBatches ({ runs, before }, add) {
  for (let i = before + runs; i > 0; i -= BATCH) await add(Math.min(i, BATCH))
}

export const variants = {
  'BullMQ, plugin': async (app) => await storing(app, bullmq({ queue: 'plugin', connection: redis })),

  async 'BullMQ, raw' (app) {
    const queue = new Queue('raw', raw())
    await queue.waitUntilReady()
    app.addHook('onClose', () => queue.close())
    return await storingRaw(app, () => queue.add('store', { args: ARGS }))
  },

  async 'BullMQ, addBulk' (app) {
    const queue = new Queue('bulk', raw())
    await queue.waitUntilReady()
    app.addHook('onClose', () => queue.close())
    return await storingRaw(app, () => queue.addBulk([{ name: 'store', data: { args: ARGS } }]))
  },

  'journal, plugin': async (app) => await storing(app, journal({ location: place() })),

  async 'journal, raw' (app) {
    const level = new ClassicLevel(place())
    await level.open()
    return await storingRaw(app, async () => {
      const key = String(number++)
      await level.put(key, JSON.stringify({ id: key, name: 'store', args: ARGS }), { sync: true })
    })
  },

  'no engine': async (app) => await answering(app, {}),

  'an engine, not used': async (app) => await answering(app, { engine: journal({ location: place() }), tasks: [store] }),

  'start, no engine': async () => await starting(),
  'start, journal': async () => await starting(journal({ location: place() })),
  'start, BullMQ': async () => await starting(bullmq({ queue: `start-${process.pid}`, connection: redis })),

  'work, plugin': () => async (order) => {
    const { count, outcome } = countdown(order)
    const queue = `work-${process.pid}`
    const task = defineTask(async () => count(), { name: 'work', durable: true })
    const web = Fastify()
    await web.register(background, { engine: bullmq({ queue, connection: redis }), worker: false })
    await web.ready()
    await inBatches(order, (size) => Promise.all(Array.from({ length: size }, () => web.background.addTask(task, ...ARGS).stored())))
    await web.close()
    const app = Fastify()
    await app.register(background, { engine: bullmq({ queue, connection: redis, concurrency: CONCURRENCY }), tasks: [task] })
    await app.ready()
    const result = await outcome()
    await app.close()
    return result
  },

  'work, raw': () => async (order) => {
    const { count, outcome } = countdown(order)
    const name = `work-${process.pid}`
    const queue = new Queue(name, raw())
    await queue.waitUntilReady()
    await inBatches(order, (size) => queue.addBulk(Array.from({ length: size }, () => ({ name: 'work', data: { args: ARGS } }))))
    await queue.close()
    const worker = new Worker(name, async () => count(),
      { connection: { url: redis, maxRetriesPerRequest: null }, concurrency: CONCURRENCY, ...KEEP })
    const result = await outcome()
    await worker.close()
    return result
  }
}

export async function measure ({ smoke }) {
  process.env.BENCH_DIRECTORY = await mkdtemp(join(tmpdir(), 'bench-'))
  const server = await startRedis()
  if (server === undefined) console.log('BullMQ is left out: apt-get install redis-server')
  else process.env.BENCH_REDIS = server.url
  try {
    return await measureEngines(smoke, server !== undefined)
  } finally {
    await server?.stop()
    await rm(process.env.BENCH_DIRECTORY, { recursive: true })
  }
}

async function measureEngines (smoke, hasRedis) {
  const counts = smoke ? { processes: 1, rounds: 1, warmUp: 0 } : { processes: 4, rounds: 3 }
  const engines = hasRedis ? ['BullMQ', 'journal'] : ['journal']
  const requests = async (names, requests) => await alternate(import.meta.url, names,
    { ...counts, requests: smoke ? 50 : requests, connections: CONNECTIONS, expected: () => 1 })
  const work = async (names, order, how = counts) => await alternateWork(import.meta.url, names,
    { ...how, order, check: ({ left }) => left === 0 ? undefined : `${left} are left` })
  const stored = {}
  for (const engine of engines) {
    Object.assign(stored, await requests(Object.keys(variants).filter((name) => name.startsWith(`${engine}, `)), 2_000))
  }
  return {
    rounds: counts.rounds,
    stored,
    worked: hasRedis ? await work(['work, plugin', 'work, raw'], smoke ? { runs: 50, before: 10 } : WORKED, { processes: counts.processes * 2, rounds: 1, warmUp: 0 }) : {},
    started: await work(['no engine', ...engines.toReversed()].map((name) => `start, ${name}`), { runs: smoke ? 50 : 300 }),
    unused: await requests(['no engine', 'an engine, not used'], 6_000)
  }
}

export function report ({ rounds, stored, worked, started, unused }) {
  const perSecond = ({ elapsed }) => estimate(elapsed.map((each) => 1e6 / each), rounds)
  const all = { ...stored, ...worked }
  const pairs = Object.keys(all).filter((name) => name.endsWith(', plugin')).map((name) => name.replace(', plugin', ''))
  const share = (pair, raw = 'raw') => estimate(ratios(all[`${pair}, ${raw}`].elapsed, all[`${pair}, plugin`].elapsed), rounds)
  const textOf = (pair) => pair === 'work' ? 'worked, BullMQ' : `stored, ${pair}`
  const times = estimate(ratios(unused['an engine, not used'].cpu, unused['no engine'].cpu), rounds)
  return {
    tables: [{
      title: 'Tasks per second',
      columns: ['', 'the plugin', 'raw', 'the plugin, times raw'],
      rows: Object.keys(all).filter((name) => !name.endsWith(', plugin')).map((name) => {
        const [pair, raw] = name.split(', ')
        return [raw === 'raw' ? textOf(pair) : `${textOf(pair)}, ${raw}`, perSecond(all[`${pair}, plugin`]), perSecond(all[name]), share(pair, raw)]
      })
    }, {
      title: 'To work, in µs of CPU per task',
      columns: ['', 'the plugin', 'raw', 'the plugin, times raw'],
      rows: worked['work, raw'] === undefined
        ? []
        : [['BullMQ', ...['work, plugin', 'work, raw'].map((name) => estimate(worked[name].cpu)), estimate(ratios(worked['work, plugin'].cpu, worked['work, raw'].cpu))]]
    }, {
      title: 'From addTask to the start',
      columns: ['', 'µs'],
      rows: Object.keys(started).map((name) => [name.replace('start, ', ''), estimate(started[name].elapsed, rounds)])
    }, {
      title: 'Where it is not used',
      columns: ['', 'µs of CPU per request'],
      rows: Object.keys(unused).map((name) => [name, estimate(unused[name].cpu, rounds)])
    }],
    goals: [
      ...pairs.includes('BullMQ') ? [goal('stored, BullMQ per second, times raw addBulk', share('BullMQ', 'addBulk'), { atLeast: 0.9 })] : [],
      ...pairs.map((pair) => goal(`${textOf(pair)} per second, times raw`, share(pair), { atLeast: pair === 'journal' ? 0.8 : 0.9 })),
      goal('an engine that is not used: CPU time per request, times without', times, { atMost: 1.02 })
    ],
    charts: []
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) print(report(await measure({ smoke: false })))
