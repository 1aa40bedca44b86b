// Question: how long does another request wait while synchronous tasks burn the CPU, in units of one task (R2)?
// Measured by one client that asks without a pause while another has ten tasks of 5 ms started, on one reply or on ten;
// the longest wait of each round, its median over the rounds with a 95 % confidence interval, and the longest of all.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { Agent, get } from 'node:http'
import { performance } from 'node:perf_hooks'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import Fastify from 'fastify'
import background from 'fastify-background'
import { print } from './lib/print.mjs'
import { estimate } from './lib/stats.mjs'

const FILE = fileURLToPath(import.meta.url)
const TASKS = 10
const TASK_MS = 5

const CASES = { 'on one reply': 1, 'on ten replies': TASKS }

export async function measure ({ smoke }) {
  const rounds = smoke ? 1 : 40
  const child = fork(FILE, { env: { ...process.env, BENCH_SERVER: '1' } })
  const [{ url }] = await once(child, 'message')
  const values = {}
  try {
    for (const [name, replies] of Object.entries(CASES)) {
      values[name] = []
      for (let i = -2; i < rounds; i++) { // two to warm up
        const wait = await round(url, replies)
        if (i >= 0) values[name].push(wait / TASK_MS)
      }
    }
  } finally {
    child.disconnect()
  }
  return { values }
}

async function round (url, replies) {
  const probe = new Agent({ keepAlive: true })
  const workers = new Agent({ keepAlive: true })
  await ask(`${url}/pending`, probe)
  let answered = 0
  const work = Array.from({ length: replies }, async () => {
    await ask(`${url}/work/${TASKS / replies}`, workers)
    answered++
  })
  let longest = 0
  for (;;) {
    const start = performance.now()
    const pending = Number(await ask(`${url}/pending`, probe))
    longest = Math.max(longest, performance.now() - start)
    if (pending === 0 && answered === replies) break
  }
  await Promise.all(work)
  probe.destroy()
  workers.destroy()
  return longest
}

async function ask (url, agent) {
  const [response] = await once(get(url, { agent }), 'response')
  return (await response.setEncoding('utf8').toArray()).join('')
}

async function serve () {
  const app = Fastify()
  await app.register(background)
  app.get('/pending', async () => {
    const { queued, active } = app.background.stats()
    return String(queued + active)
  })
  app.get('/work/:tasks', async (request, reply) => {
    for (let i = 0; i < Number(request.params.tasks); i++) reply.background.addTask(burn, TASK_MS)
    return 'ok'
  })
  process.on('disconnect', () => app.close())
  await app.listen({ port: 0, host: '127.0.0.1' })
  process.send({ url: app.listeningOrigin })
}

function burn (milliseconds) {
  const end = performance.now() + milliseconds
  while (performance.now() < end);
}

export function report ({ values }) {
  return {
    tables: [{
      title: `The longest wait of another request, in tasks of ${TASK_MS} ms`,
      columns: [`${TASKS} tasks`, 'median', 'of all'],
      rows: Object.entries(values).map(([name, waits]) => [name, estimate(waits), Math.max(...waits)])
    }],
    goals: [],
    charts: []
  }
}

if (process.argv[1] === FILE) await (process.env.BENCH_SERVER ? serve() : print(report(await measure({ smoke: false }))))
