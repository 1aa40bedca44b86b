// Runs the variants of one question in alternation, each in a process of its own, pinned to a core beside the load's.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import autocannon from 'autocannon'

const SERVER = fileURLToPath(new URL('server.mjs', import.meta.url))

/**
 * @param file the question's file, which exports `variants`
 * @param names the variants to run
 * @returns for each variant, the microseconds of CPU time that each request of each round took its server
 */
export async function alternate (file, names, { rounds, requests, connections = 20, check = () => {} }) {
  pin(process.pid, 1)
  const servers = new Map()
  for (const name of names) servers.set(name, await start(file, name))
  const cost = new Map(names.map((name) => [name, []]))
  try {
    for (let round = -2; round < rounds; round++) { // two to warm up
      for (const [name, server] of servers) {
        const before = await ask(server)
        await load(server.url, requests, connections)
        const after = await settled(server, name, before, requests, check)
        if (round >= 0) cost.get(name).push((after.cpu - before.cpu) / requests)
      }
    }
  } finally {
    for (const { child } of servers.values()) child.send('close')
  }
  return cost
}

async function start (file, name) {
  const child = fork(SERVER, [file, name], { execArgv: ['--expose-gc'] })
  pin(child.pid, 0)
  const [{ url }] = await once(child, 'message')
  return { child, url }
}

async function ask ({ child }) {
  child.send('report')
  const [report] = await once(child, 'message')
  return report
}

// Equal work: every task has run before the clock is read.
async function settled (server, name, before, requests, check) {
  for (let i = 0; ; i++) {
    const report = await ask(server)
    const wrong = check(name, report.ran - before.ran, requests)
    if (!wrong) return report
    if (i === 1000) throw new Error(`${name}: ${wrong}`)
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

async function load (url, amount, connections) {
  const { errors, non2xx, '2xx': ok } = await autocannon({ url, amount, connections })
  if (errors > 0 || non2xx > 0 || ok !== amount) throw new Error(`load: ${ok} of ${amount} answered, ${errors} errors, ${non2xx} non-2xx`)
}

function pin (pid, core) {
  if (process.platform !== 'linux' || availableParallelism() < 2) return
  execFileSync('taskset', ['-a', '-p', '-c', String(core), String(pid)], { stdio: 'ignore' })
}
