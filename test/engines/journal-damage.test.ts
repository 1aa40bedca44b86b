// D4: what is broken on the disk is reported, and the rest goes on.
import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import t from 'tap'
import type { StoredTask } from '../../lib/engines/engine'
import { engineLog, journalStore, withLevel, type JournalStore } from '../helpers/journal'
import type { Line } from '../helpers/app'
import { aTask, Bench, COMPLETED, idsOf, inState, isCompleted, put, SILENT, someTasks } from './suite-support'

const [FIRST, SECOND, THIRD] = [1, 2, 3].map((seq) => `!${String(seq).padStart(16, '0')}`)
const ERROR = 50

const broken: Array<[what: string, text: string]> = [
  ['its checksum is wrong', ''],
  ['its checksum is wrong', '{"v":1}'],
  ['its checksum is wrong', record({ v: 1, id: 'an-id' }).replace('an-id', 'an-ID')],
  ['expected version 1, got number 2', record({ v: 2 })],
  ['expected version 1, got undefined', record({})]
]

for (const [what, text] of broken) {
  t.test(`D4: a record of a task that cannot be read is reported and left, and others go on: ${text}`, async (t) => {
    const store = journalStore(t)
    const bench = new Bench(t, store)
    const [before, after] = await leave(bench, someTasks(2))
    await withLevel(store.location(), async (level) => await level.put(`task${THIRD}`, text))
    const { log, lines } = engineLog()
    const { engine, hand } = await bench.start({ concurrency: 1 }, log)
    const later = aTask()
    await put(engine, later)
    for (let i = 0; i < 3; i++) (await hand.job(i)).end(COMPLETED)
    await isCompleted(engine, later.id)
    await bench.shutDown(engine)

    t.strictSame(idsOf(hand.jobs.map(({ task }) => task)), idsOf([before, after, later]))
    t.match(errors(lines), [{ key: `task${THIRD}`, err: { message: what } }])
    t.equal(errors(lines).length, 1)
    t.strictSame(await withLevel(store.location(), async (level) => await level.iterator().all()), [[`task${THIRD}`, text]])
  })
}

t.test('D4: keys that are no task\'s are reported, as is an id that is there twice', async (t) => {
  const store = journalStore(t)
  const bench = new Bench(t, store)
  const [task] = await leave(bench, someTasks(1))
  await withLevel(store.location(), async (level) => {
    const text = await level.get(`task${FIRST}`) as string
    for (const key of ['task!x', 'task!2', `task${SECOND}`]) await level.put(key, text)
    await level.put('unknown', 'is left alone')
  })
  const { log, lines } = engineLog()
  const { hand } = await bench.start({}, log)

  t.match(await hand.job(0), { task })
  t.strictSame(errors(lines).map(({ key }) => key), [`task${SECOND}`, 'task!2', 'task!x'])
})

for (const [what, text] of [...broken, ['there is none', undefined] as const]) {
  t.test(`D4: a task whose arguments cannot be read fails visibly, is kept, and others go on: ${text}`, async (t) => {
    const store = journalStore(t)
    const bench = new Bench(t, store)
    const [first, second] = await leave(bench, someTasks(2, { args: ['x'] }))
    await withLevel(store.location(), async (level) => {
      if (text === undefined) await level.del(`args${FIRST}`)
      else await level.put(`args${FIRST}`, text)
    })
    const { log, lines } = engineLog()
    const { engine, hand } = await bench.start({ concurrency: 1 }, log)
    t.equal((await hand.job(0)).task.id, second.id)
    const { id, name, queuedAt } = first
    const failed = { task: { id, name, args: [], meta: {}, retries: 0, queuedAt }, state: 'failed', attempt: 0, error: { message: what } }
    t.match(await inState(engine, id, 'failed'), failed)
    t.match(errors(lines), [{ key: `args${FIRST}`, err: { message: what } }])
    await bench.shutDown(engine, hand)
    const next = await bench.open()

    t.match((await next.list({ state: 'failed', limit: 5 })).tasks, [failed])
  })
}

t.test('D4: tasks in a damaged file fail visibly, others go on', async (t) => {
  const store = journalStore(t)
  const bench = new Bench(t, store)
  // Many blocks of arguments, in front of those of the tasks.
  const tasks = await leave(bench, Array.from({ length: 30 }, () => aTask({ args: [randomBytes(1_000).toString('hex')] })))
  await withLevel(store.location(), async (level) => await level.compactRange('', 'z'))
  damage(store, '.ldb', 0.1)
  const { log, lines } = engineLog()
  const { engine, hand } = await bench.start({ concurrency: 1 }, log)
  const damaged = errors(lines)
  for (let i = 0; hand.jobs.length + damaged.length < tasks.length; i++) {
    (await hand.job(i)).end(COMPLETED)
    damaged.splice(0, damaged.length, ...errors(lines))
  }
  const { tasks: failed } = await engine.list({ state: 'failed', limit: 100 })

  t.ok(failed.length > 0 && failed.length < 10)
  t.equal(errors(lines).length, failed.length)
  t.strictSame([...idsOf(hand.jobs.map(({ task }) => task)), ...idsOf(failed.map(({ task }) => task))].sort(), idsOf(tasks).sort())
})

t.test('D4: a journal whose tasks cannot be read from a damaged file is not opened, and the error names it', async (t) => {
  const store = journalStore(t)
  await leave(new Bench(t, store), someTasks(30))
  await withLevel(store.location(), async (level) => await level.compactRange('', 'z'))
  // Somewhere in there are the tasks, behind what they are called with.
  damage(store, '.ldb', 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)
  const engine = store.engine()
  await t.rejects(engine.open(SILENT), { name: 'JournalError', code: 'LEVEL_CORRUPTION', message: `${store.location()} cannot be read` })
  await engine.close()

  // Nothing of it is left open.
  await t.rejects(store.engine().open(SILENT), { code: 'LEVEL_CORRUPTION' })
})

t.test('D4: what a damaged log has taken with it is reported, others go on', async (t) => {
  const store = journalStore(t)
  const bench = new Bench(t, store)
  const tasks = await leave(bench, someTasks(30))
  damage(store, '.log', 0.5)
  const { log, lines } = engineLog()
  const { hand } = await bench.start({}, log)

  t.equal((await hand.job(0)).task.id, tasks[0].id)
  t.match(errors(lines), [{ damage: /dropping \d+ bytes; Corruption/, msg: 'a file of the journal is damaged, tasks may be lost' }])
})

t.test('a journal opens without a log of LevelDB\'s own', async (t) => {
  const store = journalStore(t)
  const bench = new Bench(t, store)
  const [task] = await leave(bench, someTasks(1))
  // It can be neither moved nor written.
  for (const name of ['LOG', 'LOG.old']) {
    rmSync(join(store.location(), name), { force: true })
    mkdirSync(join(store.location(), name, 'in-the-way'), { recursive: true })
  }

  t.equal((await (await bench.start()).hand.job(0)).task.id, task.id)
})

t.test('D4: a logger that throws changes nothing of it', async (t) => {
  const store = journalStore(t)
  const bench = new Bench(t, store)
  const tasks = await leave(bench, someTasks(30))
  damage(store, '.log', 0.5)
  const fail = (): never => { throw new Error('a logger') }
  const { hand } = await bench.start({}, { ...SILENT, error: fail, info: fail })

  t.equal((await hand.job(0)).task.id, tasks[0].id)
})

/** Leaves tasks for the next process. */
async function leave (bench: Bench, tasks: StoredTask[]): Promise<StoredTask[]> {
  const engine = await bench.open()
  for (const task of tasks) await engine.store([task])
  await bench.shutDown(engine)
  return tasks
}

/** As the journal writes it. */
function record (content: object): string {
  const json = JSON.stringify(content)
  return crc32(json).toString(16).padStart(8, '0') + json
}

/** Damages the largest of the files that are named so, at a part of its length. */
function damage (store: JournalStore, ending: string, ...parts: number[]): void {
  const [{ path }] = readdirSync(store.location()).filter((name) => name.endsWith(ending)).map((name) => {
    const path = join(store.location(), name)
    return { path, size: statSync(path).size }
  }).sort((a, b) => b.size - a.size)
  const bytes = readFileSync(path)
  for (const part of parts) {
    const start = Math.floor(bytes.length * part)
    bytes.fill(0xff, start, start + 4)
  }
  writeFileSync(path, bytes)
}

function errors (lines: readonly Line[]): Line[] {
  return lines.filter(({ level }) => level === ERROR)
}
