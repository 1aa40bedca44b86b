// Question: what do durable tasks cost beside raw use of the same store, and what does an engine cost where it is not used?
// Storing is measured inside requests, 32 at once: the time per request by the clock, since it is the store that takes it.
// Working: the time per task by the clock, at a concurrency of 10, of what was stored before. An engine that is not used:
// CPU time of the server per request. The variants alternate; medians of the pairs with a 95 % confidence interval. The
// goals: at least 0.9 of raw BullMQ, 0.8 of raw classic-level, and not more than 1.02 times where it is not used.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { Queue, Worker } from 'bullmq'
import { ClassicLevel } from 'classic-level'
import Fastify from 'fastify'
import background, { defineTask } from 'fastify-background'
import { bullmq } from 'fastify-background/bullmq'
import { journal } from 'fastify-background/journal'
import { alternate, alternateWork } from './lib/alternate.mjs'
import { load } from './lib/load.mjs'
import { startRedis } from './lib/redis.mjs'
import { printMedian } from './lib/stats.mjs'

const CONNECTIONS = 32
const CONCURRENCY = 10
const { BENCH_DIRECTORY: directory, BENCH_REDIS: redis } = process.env
const ARGS = ['ada@example.com', { subject: 'Welcome', lines: ['one', 'two'] }]

// As the plugin keeps finished jobs, and no longer.
const REMOVE = { removeOnComplete: true, removeOnFail: true }
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

export const variants = {
  'BullMQ, plugin': async (app) => await storing(app, bullmq({ queue: 'plugin', connection: redis })),

  async 'BullMQ, raw' (app) {
    const queue = new Queue('raw', raw())
    await queue.waitUntilReady()
    app.addHook('onClose', () => queue.close())
    return await storingRaw(app, () => queue.addBulk([{ name: 'store', data: { args: ARGS }, opts: REMOVE }]))
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

  async 'work, plugin' () {
    let ran = 0
    let finish
    const task = defineTask(async () => { if (--ran === 0) finish() }, { name: 'work', durable: true })
    return async (runs) => {
      ran = runs
      const finished = new Promise((resolve) => { finish = resolve })
      const queue = `work-${place()}`.replaceAll(/\W/g, '-')
      const web = Fastify()
      await web.register(background, { engine: bullmq({ queue, connection: redis }), worker: false })
      await web.ready()
      const runsOfWeb = []
      for (let i = 0; i < runs; i++) runsOfWeb.push(web.background.addTask(task, ...ARGS).stored())
      await Promise.all(runsOfWeb)
      const app = Fastify()
      await app.register(background, { engine: bullmq({ queue, connection: redis, concurrency: CONCURRENCY }), tasks: [task] })
      const began = performance.now()
      await app.ready()
      await finished
      const elapsed = (performance.now() - began) * 1_000
      await app.close()
      await web.close()
      return { elapsed, left: ran }
    }
  },

  async 'work, raw' () {
    return async (runs) => {
      let ran = runs
      const name = `work-${place()}`.replaceAll(/\W/g, '-')
      const queue = new Queue(name, raw())
      await queue.waitUntilReady()
      await queue.addBulk(Array.from({ length: runs }, () => ({ name: 'work', data: { args: ARGS }, opts: REMOVE })))
      let finish
      const finished = new Promise((resolve) => { finish = resolve })
      const began = performance.now()
      const worker = new Worker(name, async () => { if (--ran === 0) finish() }, { connection: { url: redis, maxRetriesPerRequest: null }, concurrency: CONCURRENCY })
      await finished
      const elapsed = (performance.now() - began) * 1_000
      await worker.close()
      await queue.close()
      return { elapsed, left: ran }
    }
  }
}

export async function run ({ smoke = false } = {}) {
  process.env.BENCH_DIRECTORY = await mkdtemp(join(tmpdir(), 'bench-'))
  const server = await startRedis()
  if (server === undefined) console.log('redis-server is not installed: BullMQ is left out')
  else process.env.BENCH_REDIS = server.url
  try {
    await ask(smoke, server !== undefined)
  } finally {
    await server?.stop()
    await rm(process.env.BENCH_DIRECTORY, { recursive: true })
  }
}

async function ask (smoke, hasRedis) {
  const clock = ({ elapsed }) => elapsed
  const check = (name, ran, requests) => ran === requests ? undefined : `${ran} of ${requests}`
  const settings = { load, ...smoke ? { rounds: 1, requests: 200 } : { processes: 3, rounds: 8, requests: 3_000 }, connections: CONNECTIONS, check }
  for (const engine of hasRedis ? ['BullMQ', 'journal'] : ['journal']) {
    const names = [`${engine}, plugin`, `${engine}, raw`]
    const stores = await alternate(import.meta.url, names, { ...settings, value: clock })
    print(`stored, ${engine}`, 'µs', ...names.map((name) => stores.get(name)))
  }

  const idle = ['an engine, not used', 'no engine']
  const cost = await alternate(import.meta.url, idle, { ...settings, requests: smoke ? 200 : 10_000 })
  printMedian('an engine, not used: times none, of CPU', cost.get(idle[0]).map((value, i) => value / cost.get(idle[1])[i]))

  if (!hasRedis) return
  const names = ['work, plugin', 'work, raw']
  const work = await alternateWork(import.meta.url, names, {
    ...smoke ? { processes: 1, rounds: 1, runs: 200 } : { processes: 2, rounds: 6, runs: 5_000 },
    check: ({ left }) => left === 0 ? undefined : `${left} are left`
  })
  print('worked, BullMQ', 'µs', ...names.map((name) => work.get(name).map(clock)))
}

function print (what, unit, plugin, raw) {
  printMedian(`${what}: plugin, ${unit} each`, plugin)
  printMedian(`${what}: raw, ${unit} each`, raw)
  printMedian(`${what}: of what raw does in that time`, raw.map((value, i) => value / plugin[i]))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await run()
