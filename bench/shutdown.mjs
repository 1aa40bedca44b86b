// Question: how long does a server take from `close()` to the end of its process, and is anything lost?
// Measured by the clock from the call of `app.close()` to the exit that the parent sees, for Fastify alone, and for the
// plugin with 0, 10 and 10,000 short async tasks that were queued just before; in a process of its own each time; the
// variants alternate; medians with a 95 % confidence interval. All tasks must have run, and the process ends by itself.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import process from 'node:process'
import { setImmediate as turn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import Fastify from 'fastify'
import background from 'fastify-background'
import { pin, start } from './lib/child.mjs'
import { print } from './lib/print.mjs'
import { differences, estimate, goal } from './lib/stats.mjs'

const FILE = fileURLToPath(import.meta.url)
const ALONE = 'Fastify alone'
const VARIANTS = { [ALONE]: -1, 'the plugin, 0 tasks': 0, 'the plugin, 10 tasks': 10, 'the plugin, 10,000 tasks': 10_000 }

export async function measure ({ smoke }) {
  const rounds = smoke ? 1 : 15
  const values = Object.fromEntries(Object.keys(VARIANTS).map((name) => [name, []]))
  for (let i = 0; i < rounds; i++) {
    for (const [name, tasks] of Object.entries(VARIANTS)) values[name].push(await measureClose(tasks))
  }
  return { values }
}

async function measureClose (tasks) {
  const { child } = await start(FILE, [], { env: { ...process.env, BENCH_TASKS: String(tasks) } })
  pin(child.pid, 0)
  let closed
  let last
  child.on('message', (message) => {
    closed ??= message.closed
    last = message
  })
  const exited = once(child, 'exit').then(([code]) => ({ code, at: process.hrtime.bigint() }))
  child.send('close')
  const { code, at } = await exited
  assert.equal(code, 0)
  assert.equal(last.ran, Math.max(tasks, 0))
  return Number(at - BigInt(closed)) / 1e6
}

async function serve () {
  const tasks = Number(process.env.BENCH_TASKS)
  let ran = 0
  const app = Fastify()
  if (tasks >= 0) await app.register(background)
  app.get('/', async () => ({ hello: 'world' }))
  await app.listen({ port: 0, host: '127.0.0.1' })
  process.once('message', async () => {
    for (let i = 0; i < tasks; i++) {
      app.background.addTask(async () => {
        await turn()
        ran++
      })
    }
    // The clock of all processes of a machine.
    process.send({ closed: String(process.hrtime.bigint()), ran })
    await app.close()
    process.send({ ran })
    process.disconnect()
  })
  process.send({})
}

export function report ({ values }) {
  const more = (name) => estimate(differences(values[name], values[ALONE]))
  return {
    tables: [{
      columns: ['', 'ms from close() to exit', 'ms more than Fastify alone'],
      rows: Object.keys(values).map((name) => [name, estimate(values[name]), name === ALONE ? '' : more(name)])
    }],
    goals: [goal('tasks lost, of 10,000 queued at close()', 0, { atMost: 0 })],
    charts: []
  }
}

if (process.argv[1] === FILE) await (process.env.BENCH_TASKS ? serve() : print(report(await measure({ smoke: false }))))
