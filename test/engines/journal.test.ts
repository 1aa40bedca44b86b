import { chmodSync, existsSync, writeFileSync } from 'node:fs'
import { Module } from 'node:module'
import { join, relative } from 'node:path'
import t from 'tap'
import { journal, type JournalOptions } from '../../lib/engines/journal'
import { journalStore } from '../helpers/journal'
import { Child } from '../helpers/journal-child'
import { aTask, Bench, BACK, SILENT, someTasks } from './suite-support'

const INVALID = { code: 'FST_ERR_BACKGROUND_INVALID_OPTION' }

t.test('options are checked when the engine is made, and the wrong one is named', async (t) => {
  const wrong: Array<[name: string, options: object]> = [
    ['location', { location: undefined }], ['location', { location: '' }], ['location', { location: 1 }],
    ['concurrency', { concurrency: 0 }], ['concurrency', { concurrency: 1.5 }], ['keepFailed', { keepFailed: -1 }],
    ['keepFailed', { keepFailed: 1_000_001 }], ['unknown', { unknown: 1 }]
  ]
  for (const [name, options] of wrong) {
    t.throws(() => journal({ location: 'x', ...options } as JournalOptions), { ...INVALID, message: `Option "${name}"` }, name)
  }
  t.throws(() => journal(undefined as unknown as JournalOptions), INVALID)
})

t.test('right options make an engine, and touch nothing', async (t) => {
  const location = join(t.testdir(), 'journal')
  for (const options of [{}, { concurrency: 1 }, { concurrency: Infinity }, { keepFailed: 0 }, { keepFailed: 1_000_000 }]) {
    t.match(journal({ location, ...options }), { name: 'journal', features: { local: true } })
  }
  t.notOk(existsSync(location))
})

t.test('a package that is missing is named, with what to do', async (t) => {
  const module = Module as unknown as { _load: (name: string, ...rest: unknown[]) => unknown }
  const load = module._load
  t.teardown(() => { module._load = load })
  module._load = (asked, ...rest) => {
    if (asked === 'classic-level') throw new Error('Cannot find module \'classic-level\'\nRequire stack')
    return load(asked, ...rest)
  }
  t.throws(() => journal({ location: 'x' }), { ...INVALID, message: 'npm i classic-level' })
})

t.test('a directory is made with all that is missing above it, and may be relative', async (t) => {
  const location = join(t.testdir(), 'a', 'b', 'journal')
  const engine = journal({ location: relative(process.cwd(), location) })
  await engine.open(SILENT)
  await engine.close()
  t.ok(existsSync(join(location, 'CURRENT')))
})

t.test('a journal that another process has open is not opened, and the error names it', async (t) => {
  const store = journalStore(t)
  const child = await Child.start(t, store.location())
  await child.obeys({ do: 'open' })
  const refused = store.engine()
  await t.rejects(refused.open(SILENT), { name: 'JournalError', code: 'LEVEL_LOCKED', message: `${store.location()} is in use` })
  await refused.close()
  const task = aTask()
  await child.obeys({ do: 'store', tasks: [task] })
  await child.kill()
  const engine = await new Bench(t, store).open()

  t.match(await engine.find(task.id), { task })
})

t.test('nor is one that another engine of this process has open', async (t) => {
  const store = journalStore(t)
  const bench = new Bench(t, store)
  const first = await bench.open()
  await t.rejects(store.engine().open(SILENT), { code: 'LEVEL_LOCKED', message: store.location() })
  await bench.shutDown(first)

  await t.resolves(bench.open())
})

t.test('nor is one that is open by another name of its directory', async (t) => {
  const directory = t.testdir({ link: t.fixture('symlink', 'real'), real: {} })
  const [first, second] = ['real', 'link'].map((name) => journal({ location: join(directory, name, 'journal') }))
  t.teardown(async () => { for (const engine of [first, second]) await engine.close() })
  await first.open(SILENT)
  await t.rejects(second.open(SILENT), { code: 'LEVEL_LOCKED' })
})

t.test('an engine is opened once', async (t) => {
  const bench = new Bench(t, journalStore(t))
  const engine = await bench.open()
  const task = aTask()
  await engine.store([task])
  await t.rejects(engine.open(SILENT), { message: 'opened before' })
  t.match(await engine.find(task.id), { task })
  await engine.close()
  await t.rejects(engine.open(SILENT), { message: 'opened before' })
})

t.test('what is in the way of the directory is said', async (t) => {
  const location = join(t.testdir(), 'file')
  writeFileSync(location, '')
  await t.rejects(journal({ location }).open(SILENT), { name: 'JournalError', code: 'EEXIST', message: `${location} cannot be opened` })
})

t.test('a directory that may not be written is said', async (t) => {
  const directory = t.testdir({ journal: {} })
  chmodSync(join(directory, 'journal'), 0o500)
  const isRoot = process.getuid?.() === 0
  // Whom nothing is forbidden.
  if (isRoot) process.seteuid!(65_534)
  try {
    for (const location of [join(directory, 'journal'), join(directory, 'journal', 'below')]) {
      await t.rejects(journal({ location }).open(SILENT), { name: 'JournalError', message: `${location} cannot be opened: ` })
    }
  } finally {
    if (isRoot) process.seteuid!(0)
  }
})

t.test('a journal that is not open says so, and can be closed all the same', async (t) => {
  const engine = journalStore(t).engine()
  const hand = { concurrency: 1, run: async () => BACK, cancel: () => false }
  const calls: Array<() => Promise<unknown>> = [
    () => engine.store([aTask()]), () => engine.work(hand), () => engine.find('x'), () => engine.list({ limit: 1 }), () => engine.counts(),
    () => engine.retry('x'), () => engine.cancel('x', 'reason')
  ]
  for (const call of calls) await t.rejects(call(), { name: 'JournalError', message: 'is not open' })
  engine.release(['x'])
  await engine.stop()
  await engine.close()
})

t.test('a journal that is closed while it is being opened is closed', async (t) => {
  const store = journalStore(t)
  const engine = store.engine()
  const opening = engine.open(SILENT)
  await engine.close()
  await opening
  await t.rejects(engine.store(someTasks(1)), { message: 'is not open' })

  await t.resolves(new Bench(t, store).open())
})
