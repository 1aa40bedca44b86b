// Question: how many of the tasks that were attached does each server run, when something goes wrong?
// Measured with 1,000 requests for each of six cases, each of which attaches one task that counts: the client leaves
// before the reply, or in mid-stream; the stream of the reply fails; the task before it fails; SIGTERM comes while it is at
// work (a wait of 2 s), and `kill -9`, after which the server is started again. Each request and each task adds a byte to a
// file, which outlives the process. Each server shuts down in the way that its own documents show.
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { once } from 'node:events'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { load } from './lib/load.mjs'
import { openPeer, peers } from './lib/peer.mjs'
import { print } from './lib/print.mjs'
import { goal } from './lib/stats.mjs'

const CASES = {
  leave: 'the client leaves before the reply',
  stream: 'the client leaves in mid-stream',
  broken: 'the stream of the reply fails',
  failing: 'the task before it fails',
  SIGTERM: 'SIGTERM while it is at work',
  SIGKILL: '`kill -9` while it is at work'
}
const OURS = 'fastify-background'
const JOURNAL = 'fastify-background, journal'

const AT_ONCE = 500
const CONNECTIONS = 50

export async function measure ({ smoke }) {
  // `patience`: how long a task that has not run is waited for, beyond what it takes.
  const size = smoke ? { requests: 10, taskMs: 400, patience: 300 } : { requests: 1_000, taskMs: 2_000, patience: 2_500 }
  const lost = {}
  for (const name of peers()) {
    const results = measurePeer(name, size)
    // To see that it works, all at once will do.
    lost[name] = smoke ? results : await results
  }
  for (const name of Object.keys(lost)) lost[name] = await lost[name]
  lost[JOURNAL] = await inDirectory(size, async (env, counts) => ({ SIGKILL: await killed(JOURNAL, env, counts, size) }))
  return { requests: size.requests, lost }
}

async function measurePeer (name, size) {
  const { requests, patience } = size
  return await inDirectory(size, async (env, counts) => {
    const server = await openPeer(name, env)
    const results = {}
    for (const path of ['leave', 'stream', 'broken', 'failing']) {
      results[path] = await counted(counts, requests, patience, () => ASK[path](server, counts, requests))
    }
    results.SIGTERM = await counted(counts, requests, patience, async () => {
      await load(server.url, requests, CONNECTIONS, () => '/late')
      await server.close('SIGTERM')
    })
    results.SIGKILL = await killed(name, env, counts, size)
    return results
  })
}

async function killed (name, env, counts, { requests, taskMs, patience }) {
  const server = await openPeer(name, env)
  return await counted(counts, requests, patience + taskMs, async () => {
    await load(server.url, requests, CONNECTIONS, () => '/late')
    await server.close('SIGKILL')
    const next = await openPeer(name, env)
    return () => next.close()
  })
}

const ASK = {
  leave: async (server, counts, requests) => await inBatches(requests, async (size) => {
    const { accepted } = await counts()
    const clients = await Promise.all(Array.from({ length: size }, () => ask(server, '/leave')))
    while ((await counts()).accepted < accepted + size) await sleep(5)
    for (const client of clients) client.destroy()
  }),

  stream: async (server, counts, requests) => await inBatches(requests, async (size) => {
    await Promise.all(Array.from({ length: size }, async () => {
      const client = await ask(server, '/stream')
      for await (const chunk of client) if (chunk.includes('one')) break
      client.destroy()
    }))
  }),

  broken: async (server, counts, requests) => await inBatches(requests, async (size) => {
    await Promise.all(Array.from({ length: size }, async () => {
      const client = await ask(server, '/broken')
      // Until the server gives up the connection, or the client does.
      client.setTimeout(500, () => client.destroy())
      client.resume()
      // Not `once` of events: a reset is an end, too.
      await new Promise((resolve) => { client.once('close', resolve) })
    }))
  }),

  // A connection each: uvicorn cuts the one whose task has failed.
  failing: async (server, counts, requests) => await inBatches(requests, async (size) => {
    await Promise.all(Array.from({ length: size }, async () => {
      const client = await ask(server, '/failing')
      for await (const chunk of client) if (chunk.includes('}')) break
      client.destroy()
    }))
  })
}

/** The bytes that were added to both files. */
async function counted (counts, requests, patience, work) {
  const before = await counts()
  const afterwards = await work()
  const since = async () => {
    const now = await counts()
    return { accepted: now.accepted - before.accepted, ran: now.ran - before.ran }
  }
  const deadline = Date.now() + patience
  while ((await since()).ran < requests && Date.now() < deadline) await sleep(20)
  const result = await since()
  await afterwards?.()
  if (result.accepted !== requests) throw new Error(`${result.accepted} requests were accepted, expected ${requests}`)
  return result
}

async function inDirectory ({ taskMs }, work) {
  const directory = await mkdtemp(join(tmpdir(), 'bench-'))
  const env = { BENCH_COUNTS: directory, BENCH_TASK_MS: String(taskMs), BENCH_JOURNAL: join(directory, 'journal') }
  const size = async (name) => (await stat(join(directory, name)).catch(() => ({ size: 0 }))).size
  try {
    return await work(env, async () => ({ accepted: await size('accepted'), ran: await size('ran') }))
  } finally {
    await rm(directory, { recursive: true })
  }
}

async function inBatches (amount, work) {
  for (let left = amount; left > 0; left -= AT_ONCE) await work(Math.min(AT_ONCE, left))
}

async function ask (server, path) {
  const { hostname, port } = new URL(server.url)
  const client = connect(Number(port), hostname)
  await once(client, 'connect')
  client.on('error', () => {})
  client.write(`GET ${path} HTTP/1.1\r\nHost: ${hostname}\r\n\r\n`)
  return client
}

export function report ({ requests, lost }) {
  const names = Object.keys(lost).filter((name) => name !== JOURNAL)
  const cell = (name, each) => `${lost[name][each].accepted} / ${lost[name][each].ran}`
  const withEngine = lost[JOURNAL].SIGKILL
  return {
    tables: [{
      title: 'accepted / ran',
      columns: ['', ...names],
      rows: Object.entries(CASES).map(([each, text]) => [text, ...names.map((name) =>
        each === 'SIGKILL' && name === OURS ? `${cell(name, each)}; with the journal ${withEngine.accepted} / ${withEngine.ran}` : cell(name, each))])
    }],
    goals: [
      goal('tasks that ran, of those accepted, in the first five cases', Math.min(...Object.keys(CASES).filter((each) => each !== 'SIGKILL')
        .map((each) => lost[OURS][each].ran)), { atLeast: requests }),
      goal('tasks that ran in spite of kill -9, with the journal', withEngine.ran, { atLeast: requests })
    ],
    charts: []
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) print(report(await measure({ smoke: false })))
