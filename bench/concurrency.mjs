// Question: is the limit of active runs kept, and what does it cost, beside a queue that does nothing else (fastq)?
// Measured as the time per run, by the clock and of the CPU, of a process that adds all runs of an async function at once
// and waits for the last; the variants alternate, in several processes each; medians of the pairs with a 95 % confidence
// interval. The most that were ever active must be exactly the limit. The goal: at least level with fastq.
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import Fastify from 'fastify'
import background from 'fastify-background'
import fastq from 'fastq'
import { alternateWork } from './lib/alternate.mjs'
import { printMedian } from './lib/stats.mjs'

const CONCURRENCY = 10

let ran = 0
let active = 0
let most = 0

async function task () {
  active++
  if (active > most) most = active
  await undefined
  active--
  ran++
}

export const variants = {
  async plugin () {
    const app = Fastify()
    await app.register(background, { concurrency: CONCURRENCY })
    return async (runs) => await counted(async () => {
      for (let i = 0; i < runs; i++) app.background.addTask(task, i)
      await app.background.idle()
    })
  },

  async fastq () {
    const queue = fastq.promise(task, CONCURRENCY)
    return async (runs) => await counted(async () => {
      for (let i = 0; i < runs; i++) queue.push(i)
      await queue.drained()
    })
  }
}

async function counted (work) {
  ran = most = 0
  await work()
  return { ran, most, left: active }
}

export async function run ({ smoke = false } = {}) {
  const [processes, rounds, runs] = smoke ? [2, 2, 2_000] : [6, 5, 100_000]
  const values = await alternateWork(import.meta.url, Object.keys(variants), {
    processes,
    rounds,
    runs,
    check ({ ran, most, left }) {
      if (ran !== runs || left !== 0) return `${ran} tasks ran and ${left} are active, expected ${runs} and none`
      if (most !== CONCURRENCY) return `${most} tasks were active at once, expected ${CONCURRENCY}`
    }
  })
  console.log(`most active at once in each round of ${runs} runs: ${CONCURRENCY}`)
  for (const [clock, words] of [['elapsed', 'µs'], ['cpu', 'µs of CPU']]) {
    const of = (name) => values.get(name).map((value) => value[clock])
    for (const name of values.keys()) printMedian(`${name}, ${words} per run`, of(name), rounds)
    printMedian('the plugin: times fastq', of('plugin').map((value, i) => value / of('fastq')[i]), rounds)
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await run()
