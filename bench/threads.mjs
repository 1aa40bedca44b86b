// Question: how long does a trivial route take to answer while 8 images are queued, in threads and in the event loop?
// Measured as the p99 of requests that are sent at regular times, whether the one before has been answered or not, by a
// client in another process; beside nothing to do for as long as the threads have taken; rounds in turn, the p99 of each
// few of them, and their medians and pairs with a 95 % confidence interval. The server has answered as many as it can
// before, lest the compiler be measured. A codec with many small objects would rather measure its garbage collector, and
// large arguments what it takes to copy them.
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
import { print } from './lib/print.mjs'
import { estimate, goal, quantile, ratios } from './lib/stats.mjs'

const FILE = fileURLToPath(import.meta.url)
const IMAGES = 8
const FACTOR = 4
const INTERVAL_MS = 4
// So many rounds have one p99: with fewer it would be the longest but one or two.
const TOGETHER = 4
const NOTHING = 'nothing to do'
const THREADS = 'in threads'
const LOOP = 'in the event loop'

export async function measure ({ smoke }) {
  const [rounds, width, before] = smoke ? [1, 400, 10] : [40, 1_600, 20_000]
  const { child, hello: { url } } = await start(FILE, [], { env: { ...process.env, BENCH_SERVER: String(width) } })
  const values = { [NOTHING]: [], [THREADS]: [], [LOOP]: [] }
  try {
    await warmUp(`${url}/`, before)
    for (let round = -1; round < rounds; round++) { // one to warm up
      let took = 0
      for (const how of [THREADS, NOTHING, LOOP]) {
        const began = performance.now()
        const work = how === NOTHING ? setTimeout(took) : ask(child, how)
        const times = await probe(`${url}/`, work)
        if (how === THREADS) took = performance.now() - began
        if (round >= 0) values[how].push(times)
      }
    }
  } finally {
    child.disconnect()
  }
  return { values: Object.fromEntries(Object.entries(values).map(([how, times]) => [how, figuresOf(times)])) }
}

export function report ({ values }) {
  return {
    tables: [{
      title: `Milliseconds to the answer of a trivial route, beside ${IMAGES} images`,
      columns: ['', 'p50', 'p99', 'the longest'],
      rows: Object.entries(values).map(([how, { p50, p99, longest }]) => [how, p50, estimate(p99), longest])
    }],
    goals: [
      goal('p99 with images in threads, times nothing to do', estimate(ratios(values[THREADS].p99, values[NOTHING].p99)), { atMost: 2 }),
      goal('p99 with images in threads, times in the event loop', estimate(ratios(values[THREADS].p99, values[LOOP].p99)), { atMost: 0.1 })
    ],
    charts: []
  }
}

/** Of the times of each round. */
function figuresOf (rounds) {
  const groups = Array.from({ length: Math.ceil(rounds.length / TOGETHER) }, (_, i) => rounds.slice(i * TOGETHER, (i + 1) * TOGETHER).flat())
  const all = rounds.flat()
  return { p50: quantile(all, 0.5), p99: groups.map((times) => quantile(times, 0.99)), longest: quantile(all, 1) }
}

async function warmUp (url, requests) {
  const agent = new Agent({ keepAlive: true })
  for (let i = 0; i < requests; i++) await answer(url, agent)
  agent.destroy()
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
    [LOOP]: defineTask(shrink),
    [THREADS]: threadTask(new URL('../example/shrink.mjs', import.meta.url))
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

if (process.argv[1] === FILE) await (process.env.BENCH_SERVER ? serve(Number(process.env.BENCH_SERVER)) : print(report(await measure({ smoke: false }))))
