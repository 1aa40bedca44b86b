// Servers that are killed with kill -9 again and again, at random moments, while clients send them tasks. In the end every
// task whose client got its 2xx has run, and none of those whose reply failed. Many rounds: npm run test:crash
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { needsRedis, startRedis } from './helpers/redis'

const ROUNDS = Number(process.argv[2] ?? process.env.CRASH_ROUNDS ?? 20)
const CLIENTS = 4
// One request in so many fails in its handler.
const KINDS = 8
const LONGEST_LIFE_MS = 60

t.setTimeout(ROUNDS * 30_000)

t.test(`D2: kill -9 at ${ROUNDS} random moments loses no task that was accepted: the journal`, async (t) => {
  await survives(t, 'journal', join(t.testdir({ data: {} }), 'data'))
})

needsRedis()(`D2: kill -9 at ${ROUNDS} random moments loses no task that was accepted: BullMQ`, async (t) => {
  await survives(t, 'bullmq', (await startRedis(t)).url)
})

async function survives (t: Test, engine: string, place: string): Promise<void> {
  const file = join(t.testdir({ ...engine === 'journal' && { data: {} }, ran: '' }), 'ran')
  const accepted = new Set<string>()
  const refused = new Set<string>()
  let next = 0

  for (let round = 0; round < ROUNDS; round++) {
    const { server, url } = await start(t, engine, file, place)
    const clients = Array.from({ length: CLIENTS }, () => sendUntilItIsGone(url))
    await sleep(Math.random() * LONGEST_LIFE_MS)
    const gone = once(server, 'exit')
    server.kill('SIGKILL')
    await gone
    await Promise.all(clients)
  }
  const { server, url } = await start(t, engine, file, place)
  // However short the lives were: of each kind there is at least one.
  for (let i = 0; i < KINDS; i++) await send(url)
  const ended = once(server, 'exit')
  server.send('finish')
  t.strictSame(await ended, [0, null])

  const ran = new Set(readFileSync(file, 'utf8').trimEnd().split('\n'))
  t.ok(accepted.size > 0, `${accepted.size} tasks were accepted`)
  t.ok(refused.size > 0, `${refused.size} replies failed`)
  t.strictSame([...accepted].filter((number) => !ran.has(number)), [], 'all that were accepted ran')
  t.strictSame([...refused].filter((number) => ran.has(number)), [], 'none whose reply failed')

  async function sendUntilItIsGone (url: string): Promise<void> {
    while (await send(url));
  }

  /** @returns `false` where it was killed: nobody was told anything. Of what was not stored in time, nothing can be said. */
  async function send (url: string): Promise<boolean> {
    const number = String(next++)
    const [path, outcome] = Number(number) % KINDS === 0 ? ['failures', refused] as const : ['tasks', accepted] as const
    let response
    try {
      response = await fetch(`${url}/${path}/${number}`)
    } catch {
      return false
    }
    const expected = outcome === accepted ? [200, 503] : [500]
    if (!expected.includes(response.status)) throw new Error(`${path}: ${response.status}`)
    if (response.status !== 503) outcome.add(number)
    return true
  }
}

async function start (t: Test, engine: string, file: string, place: string): Promise<{ server: ChildProcess, url: string }> {
  const server = fork(join(__dirname, 'helpers/crash-server.ts'), [engine, file, place], {
    cwd: resolve(__dirname, '..'),
    execArgv: ['--import', 'tsx'],
    // Nothing of what tap hands on to child processes: neither its loader nor its coverage.
    env: { PATH: process.env.PATH, _TAPJS_PROCESSINFO_COVERAGE_: '0' }
  })
  t.teardown(() => server.kill('SIGKILL'))
  const [url] = await once(server, 'message') as [string]
  return { server, url }
}
