// Runs the variants of one question in alternation, each in a process of its own, pinned to a core beside the load's.
import { performance } from 'node:perf_hooks'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import autocannon from 'autocannon'
import { ask, pin, start } from './child.mjs'

const SERVER = fileURLToPath(new URL('server.mjs', import.meta.url))
const WORKER = fileURLToPath(new URL('worker.mjs', import.meta.url))
const MEASURED_CORE = 0
const LOAD_CORE = 1
const WARM_UP = 2

/**
 * Puts requests to the variants, which are servers.
 *
 * @param file the question's file, which exports `variants`
 * @param names the variants to run
 * @param processes how many times they are all started anew: a process keeps its luck
 * @param rounds how many times each process is measured, after the rounds to warm up
 * @param load sends the requests, and is told which variant they are for
 * @param value what is reported of `{ cpu, elapsed }`
 * @returns for each variant, the microseconds of CPU time that each request of each round took its server
 */
export async function alternate (
  file, names,
  { processes = 1, rounds, requests, connections = 20, check = () => {}, load = autocannonLoad, value = ({ cpu }) => cpu }
) {
  pin(process.pid, LOAD_CORE)
  return await takeTurns(SERVER, file, names, processes, rounds, async (name, { child, hello }) => {
    const before = await ask(child, 'report')
    const began = performance.now()
    await load(hello.url, requests, connections, name)
    const elapsed = (performance.now() - began) * 1_000
    const after = await settled(child, name, before, requests, check)
    return value({ cpu: (after.cpu - before.cpu) / requests, elapsed: elapsed / requests })
  })
}

/**
 * Has the variants work without requests, each as often as the others.
 *
 * @param check says what is wrong with a variant's outcome, if anything is
 * @returns for each variant, the microseconds that each run of each round took: `cpu`, and `elapsed` by the clock
 */
export async function alternateWork (file, names, { processes, rounds, runs, check }) {
  return await takeTurns(WORKER, file, names, processes, rounds, async (name, { child }) => {
    const { cpu, elapsed, outcome } = await ask(child, runs)
    const wrong = check(outcome)
    if (wrong) throw new Error(`${name}: ${wrong}`)
    return { cpu: cpu / runs, elapsed: elapsed / runs }
  })
}

async function takeTurns (script, file, names, processes, rounds, measure) {
  const values = new Map(names.map((name) => [name, []]))
  for (let i = 0; i < processes; i++) {
    const started = new Map()
    try {
      for (const name of names) {
        started.set(name, await start(script, [file, name]))
        pin(started.get(name).child.pid, MEASURED_CORE)
      }
      for (let round = -WARM_UP; round < rounds; round++) {
        for (const [name, each] of started) {
          const value = await measure(name, each)
          if (round >= 0) values.get(name).push(value)
        }
      }
    } finally {
      for (const { child } of started.values()) if (child.connected) child.disconnect()
    }
  }
  return values
}

// Equal work: every task has run before the clock is read.
async function settled (child, name, before, requests, check) {
  for (let i = 0; ; i++) {
    const report = await ask(child, 'report')
    const wrong = check(name, report.ran - before.ran, requests)
    if (!wrong) return report
    if (i === 1000) throw new Error(`${name}: ${wrong}`)
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

async function autocannonLoad (url, amount, connections) {
  const { errors, non2xx, '2xx': ok } = await autocannon({ url, amount, connections })
  if (errors > 0 || non2xx > 0 || ok !== amount) throw new Error(`load: ${ok} of ${amount} answered, ${errors} errors, ${non2xx} non-2xx`)
}
