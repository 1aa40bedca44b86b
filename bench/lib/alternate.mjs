// Measures the variants of one question in turn: A B C A B C …, each in a process of its own, on another core than the load.
import { performance } from 'node:perf_hooks'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { ask, pin, start } from './child.mjs'
import { load } from './load.mjs'

const SERVER = fileURLToPath(new URL('server.mjs', import.meta.url))
const WORKER = fileURLToPath(new URL('worker.mjs', import.meta.url))
const MEASURED_CORE = 0
const LOAD_CORE = 1
const WARM_UP = 2
const CONNECTIONS = 20

/**
 * Puts requests to the variants, which are servers.
 *
 * @param file the question's file, which exports `variants`
 * @param names the variants to run
 * @param expected how many tasks a request of the variant has: all must have run before the clock is read
 * @param processes how many times they are all started anew: a process keeps its luck
 * @param rounds how many times each process is measured, after `warmUp` rounds
 * @returns for each variant, the microseconds that a request took in each round: `cpu` of its server, `elapsed` by the clock
 */
export async function alternate (file, names, { processes, rounds, warmUp, requests, connections = CONNECTIONS, pathOf, expected }) {
  const values = await takeTurns(names, {
    processes,
    rounds,
    warmUp,
    open: (name) => openServer(file, name),
    measure: (server, name) => measureRequests(server, { name, requests, connections, pathOf, tasks: requests * expected(name) })
  })
  return columns(values)
}

/**
 * Has the variants work without requests, each as often as the others.
 *
 * @param order what the variant is asked: `runs`, or more
 * @param check says what is wrong with a variant's outcome, if anything is
 * @returns for each variant, the microseconds that each run took in each round: `cpu`, and `elapsed` by the clock
 */
export async function alternateWork (file, names, { processes, rounds, warmUp, order, check }) {
  const values = await takeTurns(names, {
    processes,
    rounds,
    warmUp,
    open: (name) => openWorker(file, name),
    measure: (worker, name) => measureWork(worker, name, order, check)
  })
  return columns(values)
}

/**
 * Opens every variant, measures them round by round, and opens them anew.
 *
 * @param open starts a variant; `close()` of what it returns ends it
 * @param measure one variant, once
 * @returns for each variant, what `measure` returned, process after process
 */
export async function takeTurns (names, { processes, rounds, warmUp = WARM_UP, open, measure }) {
  pin(process.pid, LOAD_CORE)
  const values = Object.fromEntries(names.map((name) => [name, []]))
  for (let i = 0; i < processes; i++) {
    const opened = new Map()
    try {
      await Promise.all(names.map(async (name) => opened.set(name, await open(name))))
      for (let round = -warmUp; round < rounds; round++) {
        for (const name of names) {
          const value = await measure(opened.get(name), name)
          if (round >= 0) values[name].push(value)
        }
      }
    } finally {
      await Promise.all(Array.from(opened.values(), (subject) => subject.close()))
    }
  }
  return values
}

/** A variant that is a server of Node: see `server.mjs`. */
export async function openServer (file, name) {
  const { child, hello } = await openChild(SERVER, file, name)
  return { url: hello.url, report: () => ask(child, 'report'), close: () => end(child) }
}

/** A variant that works by itself: see `worker.mjs`. */
export async function openWorker (file, name, options) {
  const { child } = await openChild(WORKER, file, name, options)
  return { work: (order) => ask(child, order), close: () => end(child) }
}

/** @returns `{ cpu, elapsed }`, in microseconds per request */
export async function measureRequests (server, { name, requests, connections = CONNECTIONS, pathOf, tasks }) {
  return await measureLoad(server, name, requests, tasks, () => load(server.url, requests, connections, pathOf))
}

/** The same of a load of one's own. */
export async function measureLoad (server, name, requests, tasks, send) {
  const before = await server.report()
  const began = performance.now()
  await send()
  const elapsed = (performance.now() - began) * 1_000
  const after = await settled(server, name, before.ran + tasks)
  return { cpu: (after.cpu - before.cpu) / requests, elapsed: elapsed / requests }
}

export async function measureWork (worker, name, order, check) {
  const { cpu, elapsed, outcome } = await worker.work(order)
  const wrong = check(outcome, name)
  if (wrong) throw new Error(`${name}: ${wrong}`)
  const { runs } = order
  return { cpu: cpu / runs, elapsed: elapsed / runs }
}

/** Of a list of records, one of lists for each variant. */
export function columns (values) {
  return Object.fromEntries(Object.entries(values).map(([name, records]) =>
    [name, Object.fromEntries(Object.keys(records[0]).map((key) => [key, records.map((record) => record[key])]))]))
}

async function openChild (script, file, name, options) {
  const started = await start(script, [file, name], options)
  pin(started.child.pid, MEASURED_CORE)
  return started
}

async function end (child) {
  if (!child.connected) return
  const exited = new Promise((resolve) => { child.once('exit', resolve) })
  child.disconnect()
  await exited
}

// Equal work: every task has run before the clock is read.
async function settled (server, name, expected) {
  for (let i = 0; ; i++) {
    const report = await server.report()
    if (report.ran === expected) return report
    if (i === 1_000) throw new Error(`${name}: ${report.ran} tasks ran, expected ${expected}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
