import { chmodSync, existsSync, readdirSync, writeFileSync } from 'node:fs'
import Module from 'node:module'
import { join } from 'node:path'
import t from 'tap'
import { journal } from '../../lib/engines/journal'
import { Child } from './journal-child'
import { journalStore } from './journal-support'
import { aTask, Hand, SILENT, someTasks } from './suite-support'

t.test('A2: wrong options are refused by name, at the call', async (t) => {
  const wrong: Array<[options: unknown, option: string]> = [
    [undefined, 'options'], [{}, 'location'], [{ location: '' }, 'location'], [{ location: 1 }, 'location'],
    [{ location: 'x', concurrency: 0 }, 'concurrency'], [{ location: 'x', concurrency: '10' }, 'concurrency'],
    [{ location: 'x', keepFailed: -1 }, 'keepFailed'], [{ location: 'x', keepFailed: Infinity }, 'keepFailed'],
    [{ location: 'x', keepFailde: 1 }, 'keepFailde']
  ]
  for (const [options, option] of wrong) {
    t.throws(() => journal(options as never), { code: 'FST_ERR_BACKGROUND_INVALID_OPTION', message: `Option "${option}"` })
  }
  t.ok(journal({ location: 'x', concurrency: Infinity, keepFailed: 0 }))
  t.notOk(existsSync('x'), 'nothing is made before it is opened')
})

t.test('A2: without classic-level, the error says how to install it', async (t) => {
  const resolver = Module as unknown as { _resolveFilename: (request: string, ...rest: unknown[]) => string }
  const { _resolveFilename: original } = resolver
  t.teardown(() => { resolver._resolveFilename = original })
  resolver._resolveFilename = (request, ...rest) => original.call(Module, request.replace('classic-level', 'no-such-package'), ...rest)

  t.throws(() => journal({ location: 'x' }), {
    code: 'FST_ERR_BACKGROUND_INVALID_OPTION', message: /npm i classic-level.*Cannot find module 'no-such-package'$/
  })
})

t.test('a directory that is missing is made', async (t) => {
  const location = join(t.testdir(), 'not', 'yet', 'there')
  const engine = journal({ location })
  await engine.open(SILENT)
  t.teardown(() => engine.close())

  t.ok(readdirSync(location).includes('CURRENT'))
})

t.test('a relative location stays what it was when the journal was made', async (t) => {
  const directory = t.testdir({ elsewhere: {} })
  const cwd = process.cwd()
  t.teardown(() => process.chdir(cwd))
  process.chdir(directory)
  const engine = journal({ location: 'data' })
  process.chdir('elsewhere')
  await engine.open(SILENT)
  await engine.close()

  t.strictSame(readdirSync(directory).sort(), ['data', 'elsewhere'])
})

t.test('a journal that is in use in this process is refused, with its location, until it is free', async (t) => {
  const store = journalStore(t)
  const [first, second, third] = [store.engine(), store.engine(), store.engine()]
  await first.open(SILENT)
  await t.rejects(second.open(SILENT), { code: 'LEVEL_LOCKED', message: `The journal at ${store.location()} is in use` })
  await second.close()
  await first.store([aTask()])
  await first.close()
  await third.open(SILENT)
  t.teardown(() => third.close())

  t.equal((await third.counts()).queued, 1)
})

t.test('a journal that is in use in another process is refused, with its location, until that has died', async (t) => {
  const store = journalStore(t)
  const child = await Child.start(t, store.location())
  await child.obeys({ do: 'open' })
  await t.rejects(store.engine().open(SILENT), { code: 'LEVEL_LOCKED', message: `The journal at ${store.location()} is in use` })
  await child.obeys({ do: 'store', tasks: [aTask()] })
  await child.kill()
  const engine = store.engine()
  await engine.open(SILENT)
  t.teardown(() => engine.close())

  t.equal((await engine.counts()).queued, 1)
})

t.test('a location that cannot be a journal is refused, with the reason', async (t) => {
  const directory = t.testdir({ file: 'not a directory', foreign: { CURRENT: 'not of LevelDB' } })
  for (const [path, code, reason] of [
    ['file', 'EEXIST', /file already exists/],
    ['file/below', 'ENOTDIR', /not a directory/],
    ['foreign', 'LEVEL_CORRUPTION', /CURRENT/]
  ] as const) {
    const location = join(directory, path)
    const error = await rejectionOf(location)
    t.match(error, { name: 'JournalError', code, message: `The journal at ${location} cannot be opened` })
    t.match(error.message, reason)
  }
})

t.test('a directory without the permission to write is refused, with the reason', async (t) => {
  const directory = t.testdir({ forbidden: {} })
  const forbidden = join(directory, 'forbidden')
  chmodSync(forbidden, 0o555)
  // The superuser may do everything.
  const isRoot = process.geteuid!() === 0
  if (isRoot) process.seteuid!(65_534)
  try {
    const location = join(forbidden, 'data')
    t.match(await rejectionOf(location), { code: 'EACCES', message: `The journal at ${location} cannot be opened` })
    t.match(await rejectionOf(forbidden), { code: 'LEVEL_IO_ERROR', message: /cannot be opened: .*Permission denied/ })
  } finally {
    if (isRoot) process.seteuid!(0)
    chmodSync(forbidden, 0o755)
  }
})

t.test('a journal whose files are damaged is refused, and let go of', async (t) => {
  const store = journalStore(t)
  const first = store.engine()
  await first.open(SILENT)
  await first.store(someTasks(50))
  await first.close()
  // To open it again moves what is in the log to a table.
  const second = store.engine()
  await second.open(SILENT)
  await second.close()
  const table = readdirSync(store.location()).find((name) => name.endsWith('.ldb'))!
  const damaged = Buffer.alloc(200, 0xff)
  writeFileSync(join(store.location(), table), damaged, { flag: 'r+' })
  const engine = store.engine()
  const message = new RegExp(`The journal at ${store.location()} cannot be read: .*orrupt`)
  await t.rejects(engine.open(SILENT), { code: 'LEVEL_CORRUPTION', message })
  await engine.close()

  // It can be opened, and fails for the same reason: the lock is gone.
  await t.rejects(store.engine().open(SILENT), { code: 'LEVEL_CORRUPTION' })
})

t.test('L2: nothing can be done with a journal that is not open, and no reply is kept from leaving', async (t) => {
  const store = journalStore(t)
  const engine = store.engine()
  const attempts: Array<() => Promise<unknown>> = [
    () => engine.store([aTask()]), () => engine.work(new Hand()), () => engine.find('id'), () => engine.list({ limit: 1 }),
    () => engine.counts(), () => engine.retry('id'), () => engine.cancel('id', 'reason')
  ]
  for (const attempt of attempts) await t.rejects(attempt() as Promise<void>, { message: `The journal at ${store.location()} is not open` })
  await engine.open(SILENT)
  const task = aTask()
  await engine.store([task])
  await engine.close()
  for (const attempt of attempts) await t.rejects(attempt() as Promise<void>, { message: `The journal at ${store.location()} is not open` })

  t.doesNotThrow(() => engine.release([task.id]))
  await engine.stop()
})

t.test('L2: to close a journal while it opens lets go of it', async (t) => {
  const store = journalStore(t)
  const [engine, next] = [store.engine(), store.engine()]
  const opening = engine.open(SILENT)
  await engine.close()
  await opening
  await t.rejects(engine.counts(), { message: /not open/ })
  await next.open(SILENT)
  await next.close()
})

t.test('L2: to close a journal that was never opened, or failed to open, is no mistake', async (t) => {
  const directory = t.testdir({ file: '' })
  await journal({ location: join(directory, 'never') }).close()
  const engine = journal({ location: join(directory, 'file') })
  await t.rejects(engine.open(SILENT))
  await engine.close()
  t.strictSame(readdirSync(directory), ['file'])
})

async function rejectionOf (location: string): Promise<Error> {
  return await journal({ location }).open(SILENT).then(() => { throw new Error('it has opened') }, (error) => error)
}
