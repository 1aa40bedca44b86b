// Question: how long does a trivial route take to answer while 8 images are queued, in threads and in the event loop?
// Measured as the p99 of requests that are sent at regular times, whether the one before has been answered or not, by a
// client in another process; beside nothing to do for as long as the threads have taken; rounds in turn, the p99 of all.
// The goals, on 2 cores: with threads at most 2 times that without any work, and at most a tenth of that with the work in
// the event loop. A codec with many small objects would rather measure its garbage collector on these cores, and large
// arguments what it takes to copy them.
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

const FILE = fileURLToPath(import.meta.url)
const IMAGES = 8
const FACTOR = 4
const INTERVAL_MS = 10

export async function run ({ smoke = false } = {}) {
  const [rounds, width] = smoke ? [1, 400] : [40, 1_600]
  const { child, hello: { url } } = await start(FILE, [], { env: { ...process.env, BENCH_SERVER: String(width) } })
  const values = { nothing: [], threads: [], loop: [] }
  try {
    for (let round = -1; round < rounds; round++) { // one to warm up
      let took = 0
      for (const how of ['threads', 'nothing', 'loop']) {
        const began = performance.now()
        const work = how === 'nothing' ? setTimeout(took) : ask(child, how)
        const times = await probe(`${url}/`, work)
        if (how === 'threads') took = performance.now() - began
        if (round >= 0) values[how].push(...times)
      }
    }
  } finally {
    child.disconnect()
  }
  const [nothing, inThreads, inLoop] = [values.nothing, values.threads, values.loop].map(p99)
  print('nothing to do: p99, ms', nothing)
  print(`${IMAGES} images in threads`, inThreads)
  print(`${IMAGES} images in the event loop`, inLoop)
  print('threads: times nothing to do', inThreads / nothing)
  print('threads: of the event loop', inThreads / inLoop)
}

function p99 (times) {
  return times.sort((a, b) => a - b)[Math.floor(times.length * 0.99)]
}

function print (label, value) {
  console.log(`${label.padEnd(42)} ${value.toFixed(3)}`)
}

/** How long the answers take to requests that are sent until the work is done. */
async function probe (url, work) {
  const agent = new Agent({ keepAlive: true })
  const times = []
  const done = work.then(() => true)
  let isDone
  do {
    times.push(answer(url, agent))
    isDone = await Promise.race([done, setTimeout(INTERVAL_MS, false)])
  } while (!isDone)
  const all = await Promise.all(times)
  agent.destroy()
  return all
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
