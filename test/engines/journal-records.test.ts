import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import t from 'tap'
import type { StoredTask } from '../../lib/engines/engine'
import { journalStore, linesLogger, recordsAt, withFiles, type JournalStore } from './journal-support'
import { aTask, Bench, COMPLETED, idsOf, inState, put, SILENT, someTasks } from './suite-support'

const FIRST = '0000000000000001'
const error = { name: 'Error', message: 'broken' }

t.test('the files are as they are documented, from the storing of a task to its end', async (t) => {
  const store = journalStore(t)
  const bench = new Bench(t, store)
  const task = aTask({ name: 'mail', args: [{ to: 'ü' }], reqId: 'req-1', meta: { a: 'b' }, retries: 2, queuedAt: 1_700_000_000_000 })
  const stored = { v: 1, id: task.id, name: 'mail', state: 'queued', attempt: 0, restarts: 0 }
  const args = { v: 1, args: task.args, reqId: 'req-1', meta: { a: 'b' }, retries: 2, queuedAt: 1_700_000_000_000 }
  async function inFiles (): Promise<Record<string, unknown>> {
    const records = await recordsAt(store.location())
    return Object.fromEntries(Object.entries(records).map(([key, value]) => [key, JSON.parse(value)]))
  }

  const engine = await bench.open()
  await engine.store([task])
  await engine.close()
  t.strictSame(await inFiles(), { [`task!${FIRST}`]: stored, [`args!${FIRST}`]: args })

  let { engine: next, hand } = await bench.start()
  await hand.job(0)
  await bench.crash(next)
  const { [`task!${FIRST}`]: active } = await inFiles() as Record<string, { startedAt: number }>
  t.strictSame(active, { ...stored, state: 'active', attempt: 1, startedAt: active.startedAt })
  t.type(active.startedAt, 'number')

  ;({ engine: next, hand } = await bench.start())
  const before = Date.now()
  ;(await hand.job(0)).end({ state: 'failed', error: new Error('broken'), retryIn: 60_000 })
  await inState(next, task.id, 'retrying')
  await bench.shutDown(next)
  const { [`task!${FIRST}`]: retrying } = await inFiles() as Record<string, { due: number }>
  t.match(retrying, { ...stored, state: 'retrying', attempt: 1, restarts: 1, startedAt: active.startedAt, error })
  t.ok(retrying.due >= before + 60_000)

  next = await bench.open()
  await next.cancel(task.id, 'no longer needed')
  await bench.shutDown(next)
  const { [`task!${FIRST}`]: cancelled } = await inFiles()
  t.match(cancelled, { ...stored, state: 'cancelled', attempt: 1, restarts: 1, finishedAt: Number, error: { name: 'AbortError', message: 'no longer needed' } })
  t.notOk('due' in (cancelled as object))

  ;({ engine: next, hand } = await bench.start())
  await next.retry(task.id)
  ;(await hand.job(0)).end(COMPLETED)
  await bench.shutDown(next)
  t.strictSame(await inFiles(), {})
})

const good = { v: 1, id: 'an-id', name: 'mail', state: 'queued', attempt: 0, restarts: 0 }
const unreadable: Array<[what: string, record: unknown, says: string]> = [
  ['no JSON', '{"v":1', 'not JSON'],
  ['nothing', '', 'not JSON'],
  ['a list', [good], 'expected an object, got a list'],
  ['null', null, 'expected an object, got null'],
  ['without a version', { ...good, v: undefined }, 'expected version 1, got undefined'],
  ['of a newer version', { ...good, v: 2, state: { new: true } }, 'expected version 1, got number 2'],
  ['with a wrong id', { ...good, id: 1 }, '"id" is number 1'],
  ['with a wrong name', { ...good, name: null }, '"name" is null'],
  ['in a wrong state', { ...good, state: 'completed' }, '"state" is "completed"'],
  ['with a wrong attempt', { ...good, attempt: -1 }, '"attempt" is number -1'],
  ['with wrong restarts', { ...good, restarts: 0.5 }, '"restarts" is number 0.5'],
  ['with a wrong time to wait for', { ...good, due: 'soon' }, '"due" is "soon"'],
  ['with a wrong start', { ...good, startedAt: null }, '"startedAt" is null'],
  ['with a wrong end', { ...good, state: 'failed', finishedAt: true }, '"finishedAt" is boolean true'],
  ['failed without an end', { ...good, state: 'failed' }, '"finishedAt" is undefined, and it is failed'],
  ['waiting with an end', { ...good, finishedAt: 1 }, '"finishedAt" is number 1, and it is queued'],
  ['with a wrong error', { ...good, error: { name: 'Error' } }, '"error" is an object'],
  ['with no error at all', { ...good, error: 'broken' }, '"error" is "broken"']
]

t.test('D2: a record that cannot be read is reported once, left as it is, and keeps nothing else from being done', async (t) => {
  for (const [what, record, says] of unreadable) {
    await t.test(what, async (t) => {
      const store = journalStore(t)
      const [before, after] = someTasks(2)
      const key = await spoil(store, [before, aTask(), after], 'task', record)
      const spoilt = (await recordsAt(store.location()))[key]
      const { lines, log } = linesLogger()
      const engine = store.engine({ concurrency: 1 })
      await engine.open(log)
      const bench = new Bench(t, store)
      const hand = await bench.work(engine)
      const { tasks } = await engine.list({ limit: 10 })
      t.strictSame(idsOf(tasks.map(({ task }) => task)), [after.id, before.id])
      t.equal(await engine.find('an-id'), undefined)
      const last = aTask()
      await put(engine, last)
      for (const [i, { id }] of [before, after, last].entries()) {
        const job = await hand.job(i)
        t.equal(job.task.id, id)
        job.end(COMPLETED)
      }
      await engine.close()

      t.match(lines, [{ level: 'error', key, err: { message: says }, msg: /left as it is/ }])
      t.equal(lines.length, 1)
      t.equal((await recordsAt(store.location()))[key], spoilt)
    })
  }
})

t.test('D2: what does not belong in a journal is reported, and left as it is', async (t) => {
  const store = journalStore(t)
  const task = aTask()
  await fill(store, [task])
  const foreign = { 'task!1': 'short', 'task!00000000000000x1': 'no number', 'task!9999999999999999': 'too high', other: 'not looked at' }
  await withFiles(store.location(), async (level) => {
    for (const [key, value] of Object.entries(foreign)) await level.put(key, value)
  })
  const { lines, log } = linesLogger()
  const engine = store.engine()
  await engine.open(log)
  t.strictSame(await engine.counts(), { queued: 1, active: 0, retrying: 0, completed: 0, failed: 0, cancelled: 0 })
  await engine.close()

  t.strictSame(lines.map(({ key }) => key), ['task!00000000000000x1', 'task!1', 'task!9999999999999999'])
  t.match(await recordsAt(store.location()), foreign)
})

t.test('D2: a second task with the same id is reported, and left as it is', async (t) => {
  const store = journalStore(t)
  const [task, other] = someTasks(2)
  const key = await spoil(store, [task, other], 'task', { ...good, id: task.id })
  const { lines, log } = linesLogger()
  const engine = store.engine()
  await engine.open(log)
  t.equal((await engine.counts()).queued, 1)
  await engine.close()

  t.match(lines, [{ key, err: { message: `there is another with the id ${task.id}` } }])
})

t.test('D2: what is stored later does not take the place of a record that cannot be read', async (t) => {
  const store = journalStore(t)
  const key = await spoil(store, someTasks(2), 'task', 'no record')
  const engine = store.engine()
  await engine.open(SILENT)
  await engine.store(someTasks(3))
  await engine.close()

  t.equal((await recordsAt(store.location()))[key], '"no record"')
})

const unreadableArgs: Array<[what: string, record: unknown, says: string]> = [
  ['missing', undefined, 'there is none'],
  ['of a newer version', { v: 2 }, 'expected version 1'],
  ['without a list', { v: 1, args: {}, meta: {}, retries: 0, queuedAt: 1 }, '"args" is an object'],
  ['with a wrong request', { v: 1, args: [], reqId: 1, meta: {}, retries: 0, queuedAt: 1 }, '"reqId" is number 1'],
  ['with wrong meta', { v: 1, args: [], meta: { a: 1 }, retries: 0, queuedAt: 1 }, '"meta" is an object'],
  ['without meta', { v: 1, args: [], retries: 0, queuedAt: 1 }, '"meta" is undefined'],
  ['with wrong retries', { v: 1, args: [], meta: {}, retries: '1', queuedAt: 1 }, '"retries" is "1"'],
  ['without its time', { v: 1, args: [], meta: {}, retries: 0 }, '"queuedAt" is undefined']
]

t.test('D2: arguments that cannot be read are reported when their task is due, left as they are, and others go on', async (t) => {
  for (const [what, record, says] of unreadableArgs) {
    await t.test(what, async (t) => {
      const store = journalStore(t)
      const [before, bad, after] = someTasks(3)
      const key = await spoil(store, [before, bad, after], 'args', record)
      const spoilt = await recordsAt(store.location())
      const { lines, log } = linesLogger()
      const engine = store.engine({ concurrency: 1 })
      await engine.open(log)
      t.equal(await engine.find(bad.id), undefined)
      t.strictSame(idsOf((await engine.list({ limit: 10 })).tasks.map(({ task }) => task)), [after.id, before.id])
      const hand = await new Bench(t, store).work(engine)
      ;(await hand.job(0)).end(COMPLETED)
      const job = await hand.job(1)
      t.equal(job.task.id, after.id)
      t.strictSame(await engine.counts(), { queued: 0, active: 1, retrying: 0, completed: 0, failed: 0, cancelled: 0 })
      job.end(COMPLETED)
      await engine.close()

      t.match(lines, [{ level: 'error', key, err: { message: says } }])
      const left = await recordsAt(store.location())
      t.strictSame([left[key], Object.keys(left).length], [spoilt[key], Object.keys(spoilt).length - 4])
    })
  }
})

t.test('D2: arguments in a part of the files that is damaged are reported, and others go on', async (t) => {
  const store = journalStore(t)
  const [bad, good] = [aTask({ args: [randomBytes(50_000).toString('hex')] }), aTask()]
  await fill(store, [bad, good])
  // To open it again moves what is in the log to a table.
  await fill(store, [])
  const table = join(store.location(), readdirSync(store.location()).find((name) => name.endsWith('.ldb'))!)
  const bytes = readFileSync(table)
  bytes.fill(0xff, 0, 20_000)
  writeFileSync(table, bytes)
  const { lines, log } = linesLogger()
  const engine = store.engine()
  await engine.open(log)
  t.teardown(() => engine.close())
  const hand = await new Bench(t, store).work(engine)

  t.equal((await hand.job(0)).task.id, good.id)
  t.match(lines, [{ level: 'error', key: `task!${FIRST}`, err: { message: /damaged/, cause: { code: 'LEVEL_CORRUPTION' } } }])
})

t.test('R5: a task whose arguments turn out to be unreadable cannot be cancelled', async (t) => {
  const store = journalStore(t)
  const [good, bad] = someTasks(2)
  await spoil(store, [good, bad], 'args', undefined)
  const engine = store.engine()
  await engine.open(SILENT)
  t.teardown(() => engine.close())
  await new Bench(t, store).work(engine)

  t.equal(await engine.cancel(bad.id, 'no longer needed'), false)
})

/** Stores tasks, and leaves. */
async function fill (store: JournalStore, tasks: StoredTask[]): Promise<void> {
  const engine = store.engine()
  await engine.open(SILENT)
  await engine.store(tasks)
  await engine.close()
}

/** Stores tasks, and replaces a record of the second. @returns its key. */
async function spoil (store: JournalStore, tasks: StoredTask[], kind: 'task' | 'args', record: unknown): Promise<string> {
  await fill(store, tasks)
  const key = `${kind}!0000000000000002`
  const value = typeof record === 'string' && record !== 'no record' ? record : JSON.stringify(record)
  await withFiles(store.location(), async (level) => record === undefined ? await level.del(key) : await level.put(key, value))
  return key
}
