// Question: does anything grow with the number of requests or runs?
// Measured as the heap of the server process after a garbage collection: after a warm-up, after many requests with
// tasks, and after many runs outside a request; `stats()` must be exact at each point.
import assert from 'node:assert/strict'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import autocannon from 'autocannon'
import Fastify from 'fastify'
import background from 'fastify-background'
import { ask, start } from './lib/child.mjs'

const FILE = fileURLToPath(import.meta.url)
const TASKS_PER_REQUEST = 3
const BATCH = 1_000

export async function run ({ smoke = false } = {}) {
  const [warmUp, requests, runs] = smoke ? [500, 2_000, 10_000] : [20_000, 200_000, 1_000_000]
  const { child, hello: { url } } = await start(FILE, [], {
    execArgv: ['--expose-gc'], env: { ...process.env, BENCH_SERVER: '1' }
  })
  try {
    await load(url, warmUp)
    const before = await ask(child, 0)
    await load(url, requests)
    const afterRequests = await ask(child, 0)
    const afterRuns = await ask(child, runs)

    const expected = (warmUp + requests) * TASKS_PER_REQUEST + runs
    assert.equal(afterRuns.stats.accepted, expected)
    assert.equal(afterRuns.stats.completed, expected)
    print(`heap after ${warmUp} requests with ${TASKS_PER_REQUEST} tasks each`, before.heap)
    print(`more after ${requests} further requests`, afterRequests.heap - before.heap)
    print(`more after ${runs} further runs outside a request`, afterRuns.heap - afterRequests.heap)
    console.log(`stats() after ${expected} runs: exact`)
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

// Connections and their buffers are let go of in later turns: the heap counts when it no longer shrinks.
async function heap () {
  let last = Infinity
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 100))
    globalThis.gc()
    const { heapUsed } = process.memoryUsage()
    if (heapUsed >= last) return last
    last = heapUsed
  }
}

async function load (url, amount) {
  const { '2xx': ok } = await autocannon({ url, amount, connections: 20 })
  assert.equal(ok, amount)
}

function print (label, bytes) {
  console.log(`${label.padEnd(60)} ${(bytes / 1024 / 1024).toFixed(2).padStart(8)} MB`)
}

if (process.argv[1] === FILE) await (process.env.BENCH_SERVER ? serve() : run())
