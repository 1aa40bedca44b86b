// A full disk, by a limit on how long a file may get: what is beyond it fails to be written, in the middle of a record
// as on a disk. Run against a process of its own, from outside.
import { execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import t, { type Test } from 'tap'
import { Child } from '../helpers/journal-child'
import { until } from '../helpers/latch'
import { end } from '../helpers/redis'
import { journalStore, type JournalStore } from '../helpers/journal'
import { aTask, Bench, COMPLETED, idsOf, someTasks } from './suite-support'
import type { StoredTask } from '../../lib/engines/engine'

const skip = canLimit() ? false : 'prlimit (util-linux) is not there'

const LARGE = { args: ['x'.repeat(300)] }

t.setTimeout(120_000)

t.test('D7: what a full disk refuses is rejected, and what it takes later is kept', { skip }, async (t) => {
  const { store, bench, child } = await start(t)
  const [before, during, after] = [someTasks(5), someTasks(5), someTasks(5)]
  await storeEach(child, before)
  limitFiles(child, 0)
  for (const task of during) await t.rejects(child.obeys({ do: 'store', tasks: [task] }), { code: 'LEVEL_IO_ERROR', message: store.location() })
  limitFiles(child, 'unlimited')
  await storeEach(child, after)
  await child.kill()

  t.strictSame(await idsIn(bench), idsOf([...before, ...after]))
})

for (const room of [1, 100, 1_000, 5_000]) {
  t.test(`D7: a record that was cut off takes nothing with it, neither from before nor from later: ${room} bytes of room`, { skip }, async (t) => {
    const { bench, child, store } = await start(t)
    const tasks = someTasks(3, LARGE)
    await storeEach(child, tasks)
    const { name, size } = log(store)
    limitFiles(child, size + room)
    // Until the journal has begun another file, which has room.
    while (log(store).name === name) {
      tasks.push(aTask(LARGE))
      await storeEach(child, tasks.slice(-1))
    }
    limitFiles(child, 'unlimited')
    const later = someTasks(3, LARGE)
    await storeEach(child, later)
    await child.kill()

    t.strictSame(await idsIn(bench), idsOf([...tasks, ...later]))
  })
}

t.test('D7: tasks go on after the disk was full, and none of what became of them is lost', { skip }, async (t) => {
  const { bench, child } = await start(t)
  await child.obeys({ do: 'work' })
  const [completed, failed, waiting] = [aTask(), aTask(), aTask()]
  await storeEach(child, [completed, failed])
  await child.hears('started')
  await child.hears('started')
  limitFiles(child, 0)
  await child.obeys({ do: 'end', id: completed.id, outcome: COMPLETED, thenDie: false })
  await child.obeys({ do: 'end', id: failed.id, outcome: { state: 'failed', error: 'broken' }, thenDie: false })
  await t.rejects(child.obeys({ do: 'store', tasks: [waiting] }))
  limitFiles(child, 'unlimited')
  await child.obeys({ do: 'store', tasks: [waiting] })
  t.equal((await child.hears('started')).id, waiting.id)
  await child.kill()
  const engine = await bench.open()

  t.equal(await engine.find(completed.id), undefined)
  t.match(await engine.find(failed.id), { state: 'failed', error: { message: 'broken' } })
  t.match(await engine.find(waiting.id), { state: 'queued' })
})

t.test('D1, D7: while the disk is full, replies with durable tasks are 503s, others are served, and then all goes on', { skip }, async (t) => {
  const directory = t.testdir({ journal: {}, ran: '' })
  const [location, file] = [join(directory, 'journal'), join(directory, 'ran')]
  const server = fork(join(__dirname, '../helpers/crash-server.ts'), ['journal', file, location], {
    cwd: resolve(__dirname, '../..'), execArgv: ['--import', 'tsx'], env: { PATH: process.env.PATH, _TAPJS_PROCESSINFO_COVERAGE_: '0' }
  })
  t.teardown(() => end(server))
  const [url] = await once(server, 'message') as [string]
  const ran = (): string[] => readFileSync(file, 'utf8').split('\n').filter((number) => number !== '')
  t.equal((await fetch(`${url}/tasks/1`)).status, 200)
  await until(() => ran().length === 1)
  limitFiles({ pid: server.pid! }, 0)
  const refused = await fetch(`${url}/tasks/2`)
  t.equal(refused.status, 503)
  t.notMatch(await refused.text(), location)
  t.equal((await fetch(`${url}/failures/3`)).status, 500, 'as without a journal')
  limitFiles({ pid: server.pid! }, 'unlimited')
  t.equal((await fetch(`${url}/tasks/4`)).status, 200)
  const ended = once(server, 'exit')
  server.send('finish')

  t.strictSame(await ended, [0, null])
  t.strictSame(ran(), ['1', '4'])
})

async function start (t: Test): Promise<{ store: JournalStore, bench: Bench, child: Child }> {
  const store = journalStore(t)
  const child = await Child.start(t, store.location())
  await child.obeys({ do: 'open' })
  return { store, child, bench: new Bench(t, store) }
}

async function storeEach (child: Child, tasks: readonly StoredTask[]): Promise<void> {
  for (const task of tasks) await child.obeys({ do: 'store', tasks: [task] })
}

async function idsIn (bench: Bench): Promise<string[]> {
  const { tasks } = await (await bench.open()).list({ limit: Infinity })
  return idsOf(tasks.map(({ task }) => task)).reverse()
}

/** What it writes to. */
function log (store: JournalStore): { name: string, size: number } {
  const name = readdirSync(store.location()).filter((name) => name.endsWith('.log')).sort().at(-1)!
  return { name, size: statSync(join(store.location(), name)).size }
}

/** @param bytes For each file that the process writes from here on. */
function limitFiles ({ pid }: { readonly pid: number }, bytes: number | 'unlimited'): void {
  execFileSync('prlimit', [`--pid=${pid}`, `--fsize=${bytes}:`])
}

function canLimit (): boolean {
  try {
    execFileSync('prlimit', ['--version'])
    return true
  } catch {
    return false
  }
}
