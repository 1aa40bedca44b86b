// Question: how many tasks per second run in a process, with and without a limit, beside queues that do nothing else?
// Measured as the time per run, by the clock and of the CPU, of a process that adds 100,000 runs of a short async function
// at once and waits for the last; against fastq, fastq.promise and p-queue. With a limit of 10, the most that were ever
// active must be exactly 10. A task with a time-out and retries stands beside the plain one. The variants alternate, in
// several processes each; medians of the pairs with a 95 % confidence interval.
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import Fastify from 'fastify'
import background, { defineTask } from 'fastify-background'
import fastq from 'fastq'
import PQueue from 'p-queue'
import { alternateWork } from './lib/alternate.mjs'
import { print } from './lib/print.mjs'
import { differences, estimate, goal, ratios } from './lib/stats.mjs'

const LIMIT = 10
const OURS = 'the plugin'
const LIMITED = `, concurrency: ${LIMIT}`

let ran = 0
let active = 0
let most = 0

async function task () {
  if (++active > most) most = active
  await undefined
  active--
  ran++
}

const plugin = (fn, concurrency) => async () => {
  const app = Fastify()
  await app.register(background, { concurrency })
  return counted(async (runs) => {
    for (let i = 0; i < runs; i++) app.background.addTask(fn, i)
    await app.background.idle()
  })
}

const callbacks = (concurrency) => async () => {
  const queue = fastq((argument, done) => { task(argument).then(() => done(null), done) }, concurrency)
  return counted(async (runs) => {
    const drained = new Promise((resolve) => { queue.drain = resolve })
    for (let i = 0; i < runs; i++) queue.push(i, ignore)
    await drained
  })
}

const promises = (concurrency) => async () => {
  const queue = fastq.promise(task, concurrency)
  return counted(async (runs) => {
    for (let i = 0; i < runs; i++) queue.push(i)
    await queue.drained()
  })
}

const pQueue = (concurrency) => async () => {
  const queue = new PQueue({ concurrency })
  return counted(async (runs) => {
    for (let i = 0; i < runs; i++) queue.add(() => task(i))
    await queue.onIdle()
  })
}

export const variants = {
  [OURS]: plugin(task, Infinity),
  'the plugin, timeout and retries': plugin(defineTask(task, { timeout: 30_000, retries: 3 }), Infinity),
  fastq: callbacks(Infinity),
  'fastq.promise': promises(Infinity),
  'p-queue': pQueue(Infinity),
  [OURS + LIMITED]: plugin(task, LIMIT),
  [`fastq${LIMITED}`]: callbacks(LIMIT),
  [`fastq.promise${LIMITED}`]: promises(LIMIT),
  [`p-queue${LIMITED}`]: pQueue(LIMIT)
}

function counted (work) {
  return async ({ runs }) => {
    ran = most = 0
    await work(runs)
    return { ran, most, left: active }
  }
}

function ignore () {}

export async function measure ({ smoke }) {
  const [processes, rounds, warmUp, runs] = smoke ? [1, 1, 0, 1_000] : [6, 4, 2, 100_000]
  const values = await alternateWork(import.meta.url, Object.keys(variants), {
    processes,
    rounds,
    warmUp,
    order: { runs },
    check ({ ran, most, left }, name) {
      if (ran !== runs || left !== 0) return `${ran} tasks ran and ${left} are active, expected ${runs} and none`
      if (name.endsWith(LIMITED) && most !== LIMIT) return `${most} tasks were active at once, expected ${LIMIT}`
    }
  })
  return { rounds, values }
}

export function report ({ rounds, values }) {
  const perSecond = (name) => estimate(values[name].elapsed.map((elapsed) => 1e6 / elapsed), rounds)
  const times = (name, suffix) => estimate(ratios(values[name + suffix].elapsed, values[OURS + suffix].elapsed), rounds)
  const policy = estimate(differences(values['the plugin, timeout and retries'].cpu, values[OURS].cpu), rounds)
  return {
    tables: [{
      columns: ['', 'tasks per second', 'µs by the clock', 'µs of CPU'],
      rows: Object.keys(values).map((name) => [name, perSecond(name), estimate(values[name].elapsed, rounds), estimate(values[name].cpu, rounds)])
    }, {
      title: 'Tasks per second of the plugin, times each, in pairs',
      columns: ['', 'unlimited', `concurrency: ${LIMIT}`],
      rows: ['fastq', 'fastq.promise', 'p-queue'].map((name) => [name, times(name, ''), times(name, LIMITED)])
    }, {
      title: 'A time-out and retries that a task does not need',
      columns: ['', 'µs of CPU more'],
      rows: [['a definition with both, beside a plain function', policy]]
    }],
    goals: [
      ...[['unlimited', ''], [`concurrency: ${LIMIT}`, LIMITED]].flatMap(([text, suffix]) => ['fastq.promise', 'p-queue'].map((name) =>
        goal(`tasks per second, ${text}, times ${name}`, times(name, suffix), { atLeast: 1 }))),
      goal('a time-out and retries, not needed: µs of CPU more', policy, { atMost: 3 })
    ],
    charts: [{
      kind: 'bars',
      name: 'throughput',
      title: 'Async no-ops per second in a process (more is better)',
      bars: Object.keys(values).map((name) => ({ label: name, ours: name.startsWith(OURS), values: [perSecond(name)] }))
    }]
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) print(report(await measure({ smoke: false })))
