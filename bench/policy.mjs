// Question: what do a time-out and retries cost a run that needs neither, beside a plain function?
// Measured as CPU time of a process per run of the same empty async function, as the one or the other, outside a request;
// the variants alternate, in several processes each; medians of the pairs with a 95 % confidence interval. The goal: at
// most 3 µs more.
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import Fastify from 'fastify'
import background, { defineTask } from 'fastify-background'
import { alternateWork } from './lib/alternate.mjs'
import { printMedian } from './lib/stats.mjs'

const BATCH = 1_000

let ran = 0
async function task () { ran++ }

export const variants = {
  plain: () => prepare(task),
  policy: () => prepare(defineTask(task, { timeout: 30_000, retries: 3 }))
}

async function prepare (task) {
  const app = Fastify()
  await app.register(background)
  return async (runs) => {
    const before = ran
    for (let i = 0; i < runs; i += BATCH) {
      for (let j = 0; j < BATCH; j++) app.background.addTask(task)
      await app.background.idle()
    }
    return ran - before
  }
}

export async function run ({ smoke = false } = {}) {
  const [processes, rounds, runs] = smoke ? [2, 2, 2_000] : [6, 5, 50_000]
  const values = await alternateWork(import.meta.url, Object.keys(variants), {
    processes,
    rounds,
    runs,
    check: (count) => count === runs ? undefined : `${count} tasks ran, expected ${runs}`
  })
  const of = (name) => values.get(name).map(({ cpu }) => cpu)
  printMedian('a plain function, µs of CPU per run', of('plain'), rounds)
  printMedian('with timeout and retries', of('policy'), rounds)
  printMedian('the difference', of('policy').map((value, i) => value - of('plain')[i]), rounds)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await run()
