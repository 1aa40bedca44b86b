// Question: how much memory does a queued run take, and is it given back? Does anything grow with what is over?
// Measured as the heap of a process after a garbage collection. Queued: with 1,000,000 plain tasks behind one that is at
// work, less the heap before, for each of them; after the last has ended; against fastq, fastq.promise and p-queue, each in a
// process of its own. Growth: of a server, after many requests with tasks, and after many runs outside a request, less the
// heap after a warm-up; `stats()` must be exact at each point.
import assert from 'node:assert/strict'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import Fastify from 'fastify'
import background from 'fastify-background'
import fastq from 'fastq'
import PQueue from 'p-queue'
import { ask, start } from './lib/child.mjs'
import { openWorker } from './lib/alternate.mjs'
import { heap } from './lib/heap.mjs'
import { load } from './lib/load.mjs'
import { print } from './lib/print.mjs'
import { estimate, goal, ratios } from './lib/stats.mjs'

const FILE = fileURLToPath(import.meta.url)
const OURS = 'the plugin'
const TASKS_PER_REQUEST = 3
const BATCH = 1_000

let ran = 0
function task () { ran++ }

// Each queue is given one thing that is at work until it is told, then the runs.
export const variants = {
  async [OURS] () {
    const app = Fastify()
    await app.register(background, { concurrency: 1 })
    return queued((blocked) => app.background.addTask(() => blocked), (i) => app.background.addTask(task, i), () => app.background.idle())
  },

  async fastq () {
    const queue = fastq((work, done) => { Promise.resolve(work instanceof Promise ? work : task()).then(() => done(null)) }, 1)
    let drained
    queue.drain = () => drained()
    return queued((blocked) => queue.push(blocked, ignore), (i) => queue.push(i, ignore), () => new Promise((resolve) => { drained = resolve }))
  },

  async 'fastq.promise' () {
    const queue = fastq.promise(async (work) => { work instanceof Promise ? await work : task() }, 1)
    return queued((blocked) => queue.push(blocked), (i) => queue.push(i), () => queue.drained())
  },

  async 'p-queue' () {
    const queue = new PQueue({ concurrency: 1 })
    return queued((blocked) => queue.add(() => blocked), (i) => queue.add(() => task(i)), () => queue.onIdle())
  }
}

function queued (block, add, finished) {
  return async ({ runs }) => {
    ran = 0
    let release
    block(new Promise((resolve) => { release = resolve }))
    const before = await heap()
    for (let i = 0; i < runs; i++) add(i)
    const full = await heap()
    const over = finished()
    release()
    await over
    return { each: (full - before) / runs, left: await heap() - before, ran }
  }
}

function ignore () {}

export async function measure ({ smoke }) {
  const [processes, runs] = smoke ? [1, 10_000] : [3, 1_000_000]
  const queues = Object.fromEntries(Object.keys(variants).map((name) => [name, { each: [], left: [] }]))
  for (let i = 0; i < processes; i++) {
    for (const name of Object.keys(variants)) {
      const { each, left } = await measureQueue(name, runs)
      queues[name].each.push(each)
      queues[name].left.push(left)
    }
  }
  return { runs, queues, growth: await measureGrowth(smoke) }
}

async function measureQueue (name, runs) {
  const worker = await openWorker(import.meta.url, name, { execArgv: ['--expose-gc', '--max-old-space-size=8192'] })
  try {
    const { outcome } = await worker.work({ runs })
    assert.equal(outcome.ran, runs, name)
    return outcome
  } finally {
    await worker.close()
  }
}

async function measureGrowth (smoke) {
  const [warmUp, requests, runs] = smoke ? [100, 500, 10_000] : [20_000, 200_000, 1_000_000]
  const { child, hello: { url } } = await start(FILE, [], { execArgv: ['--expose-gc'], env: { ...process.env, BENCH_SERVER: '1' } })
  try {
    await load(url, warmUp, 20)
    const before = await ask(child, 0)
    await load(url, requests, 20)
    const afterRequests = await ask(child, 0)
    const afterRuns = await ask(child, runs)
    const expected = (warmUp + requests) * TASKS_PER_REQUEST + runs
    assert.equal(afterRuns.stats.accepted, expected)
    assert.equal(afterRuns.stats.completed, expected)
    return { requests, runs, byRequests: afterRequests.heap - before.heap, byRuns: afterRuns.heap - afterRequests.heap }
  } finally {
    child.disconnect()
  }
}

async function serve () {
  const app = Fastify()
  await app.register(background)
  app.get('/', async (request, reply) => {
    reply.background.addTask(async function wait (text) { await text }, request.id)
    reply.background.addTask(function plain (text) { return text.length }, request.id)
    reply.background.addTask(async function wait (text) { await text }, request.id)
    return { hello: 'world' }
  })
  process.on('message', async (runs) => {
    for (let i = 0; i < runs; i += BATCH) {
      for (let j = 0; j < BATCH; j++) app.background.addTask(async function wait (n) { return n }, i + j)
      await app.background.idle()
    }
    await app.background.idle()
    process.send({ heap: await heap(), stats: app.background.stats() })
  })
  process.on('disconnect', () => app.close())
  await app.listen({ port: 0, host: '127.0.0.1' })
  process.send({ url: app.listeningOrigin })
}

export function report ({ runs, queues, growth }) {
  const megabytes = (bytes) => bytes / 2 ** 20
  const bytes = (name) => estimate(queues[name].each)
  const times = (name) => estimate(ratios(queues[OURS].each, queues[name].each))
  return {
    tables: [{
      title: `${runs.toLocaleString('en-US')} queued runs`,
      columns: ['', 'bytes each', 'MB more after all have ended'],
      rows: Object.keys(queues).map((name) => [name, bytes(name), estimate(queues[name].left.map(megabytes))])
    }, {
      title: 'Growth, of a server',
      columns: ['', 'MB more'],
      rows: [
        [`after ${growth.requests.toLocaleString('en-US')} requests with ${TASKS_PER_REQUEST} tasks each`, megabytes(growth.byRequests)],
        [`after ${growth.runs.toLocaleString('en-US')} further runs outside a request`, megabytes(growth.byRuns)]
      ]
    }],
    goals: [goal('bytes of a queued run, times p-queue', times('p-queue'), { atMost: 1 })],
    charts: [{
      kind: 'bars',
      name: 'memory',
      title: 'Bytes of a queued run (less is better)',
      bars: Object.keys(queues).map((name) => ({ label: name, ours: name === OURS, values: [bytes(name)] }))
    }]
  }
}

if (process.argv[1] === FILE) await (process.env.BENCH_SERVER ? serve() : print(report(await measure({ smoke: false }))))
