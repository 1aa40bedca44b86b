import { spawn, type ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { join } from 'node:path'
import t from 'tap'
import { aTask, eventually, openEngine } from '../helpers/bullmq'
import { until } from '../helpers/latch'
import { end, needsRedis, startRedis } from '../helpers/redis'

// Real servers, on a machine that may have other things to do.
t.setTimeout(180_000)

const test = needsRedis()
const TASKS = 2_000
const CONCURRENCY = 10

interface Teardown { teardown: (fn: () => unknown) => void }

/** What a process has said of its tasks, line by line. */
interface Process {
  readonly child: ChildProcess
  readonly lines: string[][]
  readonly ready: Promise<unknown>
  readonly begin: () => void
  /** Resolves when it is gone and all that it said has been read. */
  readonly read: Promise<unknown>
}

function startProcess (t: Teardown, queue: string, url: string, duration: number): Process {
  const child = spawn(process.execPath, [...process.execArgv, join(__dirname, '../helpers/bullmq-process.ts'), queue, url, String(duration)],
    { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines: string[][] = []
  const reader = createInterface({ input: child.stdout })
  const ready = once(reader, 'line').then(() => { reader.on('line', (line) => lines.push(line.split(' '))) })
  t.teardown(() => end(child))
  return { child, lines, ready, begin: () => child.stdin.write('begin\n'), read: once(reader, 'close') }
}

/** Has them begin together: however long each takes to start, none comes when all is done. */
async function beginAll (processes: readonly Process[]): Promise<void> {
  await Promise.all(processes.map(({ ready }) => ready))
  for (const { begin } of processes) begin()
}

test('BullMQ, processes that die', async (t) => {
  const redis = await startRedis(t)

  await t.test('D2, D6: a task whose process is killed starts again elsewhere, as a restart, not as an attempt', async (t) => {
    const queue = randomUUID()
    const { engine } = await openEngine(t, redis.url, { queue })
    const task = aTask()
    await engine.store([task])
    const first = startProcess(t, queue, redis.url, 3_600_000)
    await beginAll([first])
    await until(() => first.lines.length === 1)
    await end(first.child)
    const second = startProcess(t, queue, redis.url, 0)
    await beginAll([second])
    await until(() => second.lines.length === 2)

    t.strictSame(first.lines, [['start', task.id, '1', '0']])
    t.strictSame(second.lines, [['start', task.id, '1', '1'], ['end', task.id]])
  })

  await t.test(`D2: ${TASKS} tasks, three processes, one of them killed: each ends once`, async (t) => {
    const queue = randomUUID()
    const { engine } = await openEngine(t, redis.url, { queue, timeout: 5_000 })
    const tasks = Array.from({ length: TASKS }, () => aTask())
    for (let i = 0; i < TASKS; i += 100) await engine.store(tasks.slice(i, i + 100))
    const processes = [0, 1, 2].map(() => startProcess(t, queue, redis.url, 10))
    const doomed = processes[0] as Process
    await beginAll(processes)
    await until(() => processes.every(({ lines }) => lines.length > 100))
    await end(doomed.child)
    await eventually(() => engine.counts(), ({ completed }) => completed === TASKS)
    await Promise.all(processes.map(async ({ child, read }) => {
      await end(child)
      await read
    }))
    const lines = processes.flatMap(({ lines }) => lines)
    const starts = lines.filter(([what]) => what === 'start')
    const restarts = starts.filter(([, , , restarts]) => restarts !== '0')

    t.equal(new Set(starts.map(([, id]) => id)).size, TASKS)
    t.ok(restarts.length <= CONCURRENCY, `${restarts.length} of those at work in it`)
    t.ok(starts.every(([, , attempt]) => attempt === '1'))
    t.ok(starts.length - TASKS <= restarts.length, 'no other was started twice')
  })
})
