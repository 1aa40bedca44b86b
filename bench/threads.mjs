// Question: how long does a trivial route take to answer while 8 images are queued, in threads and in the event loop?
// Measured as the p99 of requests that are sent at regular times, whether the one before has been answered or not, by a
// client in another process; beside nothing to do for as long as the threads have taken; rounds in turn, the median of
// their p99. The goals, on 2 cores: with threads at most 2 times that without any work, and at most a tenth of that with
// the work in the event loop.
import { once } from 'node:events'
import { Agent, get } from 'node:http'
import { performance } from 'node:perf_hooks'
import process from 'node:process'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import Fastify from 'fastify'
import background, { defineTask } from 'fastify-background'
import { threads, threadTask } from 'fastify-background/threads'
import { paint } from '../example/paint.mjs'
import shrink from '../example/shrink.mjs'
import { ask, start } from './lib/child.mjs'
import { median, printMedian } from './lib/stats.mjs'

const FILE = fileURLToPath(import.meta.url)
const IMAGES = 8
const FACTOR = 4
const INTERVAL_MS = 5

export async function run ({ smoke = false } = {}) {
  const [rounds, width] = smoke ? [1, 400] : [9, 1_600]
  const { child, hello: { url } } = await start(FILE, [], { env: { ...process.env, BENCH_SERVER: String(width) } })
  const values = { nothing: [], threads: [], loop: [] }
  try {
    for (let round = -1; round < rounds; round++) { // one to warm up
      let took = 0
      for (const how of ['threads', 'nothing', 'loop']) {
        const began = performance.now()
        const work = how === 'nothing' ? setTimeout(took) : ask(child, how)
        const p99 = await probe(`${url}/`, work)
        if (how === 'threads') took = performance.now() - began
        if (round >= 0) values[how].push(p99)
      }
    }
  } finally {
    child.disconnect()
  }
  printMedian('nothing to do: p99, ms', values.nothing)
  printMedian(`${IMAGES} images in threads`, values.threads)
  printMedian(`${IMAGES} images in the event loop`, values.loop)
  console.log(`threads: ${(median(values.threads) / median(values.nothing)).toFixed(2)} times nothing to do, ` +
    `${(median(values.threads) / median(values.loop)).toFixed(3)} of the event loop`)
}

/** The p99 of the answers to requests that are sent until the work is done. */
async function probe (url, work) {
  const agent = new Agent({ keepAlive: true })
  const times = []
  const done = work.then(() => true)
  let isDone
  do {
    times.push(answer(url, agent))
    isDone = await Promise.race([done, setTimeout(INTERVAL_MS, false)])
  } while (!isDone)
  const sorted = (await Promise.all(times)).sort((a, b) => a - b)
  agent.destroy()
  return sorted[Math.floor(sorted.length * 0.99)]
}

async function answer (url, agent) {
  const began = performance.now()
  const [response] = await once(get(url, { agent }), 'response')
  response.resume()
  await once(response, 'end')
  return performance.now() - began
}

async function serve (width) {
  const app = Fastify()
  await app.register(background)
  await app.register(threads)
  app.get('/', async () => 'ok')
  const tasks = {
    loop: defineTask(shrink),
    threads: threadTask(new URL('../example/shrink.mjs', import.meta.url))
  }
  const image = paint(width, width * 3 / 4)
  process.on('message', async (how) => {
    for (let i = 0; i < IMAGES; i++) app.background.addTask(tasks[how], image, FACTOR)
    await app.background.idle()
    process.send('done')
  })
  process.on('disconnect', () => app.close())
  await app.listen({ port: 0, host: '127.0.0.1' })
  process.send({ url: app.listeningOrigin })
}

if (process.argv[1] === FILE) await (process.env.BENCH_SERVER ? serve(Number(process.env.BENCH_SERVER)) : run())
