import { randomUUID } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { StoredTasks } from '../../lib/dashboard/stored'
import { durable } from '../helpers/durable'
import { createDashboard, listed, openFeed, OWN, type Settings } from '../helpers/dashboard'
import { latch, turn, until } from '../helpers/latch'
import { Memory, MemoryEngine } from '../helpers/memory-engine'

t.setTimeout(60_000)

async function createPair (t: Parameters<typeof createDashboard>[0], dashboard: Settings['dashboard'] = { allowAnonymous: true }) {
  const memory = new Memory()
  const [mine, others] = [new MemoryEngine({ memory }), new MemoryEngine({ memory })]
  const goOn = latch()
  const started = latch()
  const sent: unknown[] = []
  let fails = true
  const send = durable('send-email', async function (to: string) {
    if (to === 'slow') {
      this.progress({ value: 0.5, message: 'half' })
      started.open()
      await Promise.race([goOn, new Promise((resolve) => this.signal.addEventListener('abort', resolve))])
    }
    if (to === 'breaks' && fails) throw new Error('refused')
    sent.push(to)
  })
  // One only shows and stores, the other works.
  const web = await createDashboard(t, { background: { engine: mine, tasks: [send], worker: false }, dashboard })
  const worker = await createDashboard(t, { background: { engine: others, tasks: [send], closeTimeout: 0 } })
  await web.ready()
  await worker.ready()
  const add = async (to: string): Promise<string> => (await web.background.addTask(send, to).stored()).id
  return { web, worker, mine, memory, add, sent, started, goOn, mend: () => { fails = false } }
}

const change = (id: string, what: string) => ({ method: 'POST' as const, url: `/background/runs/${id}/${what}`, headers: OWN, payload: '{}' })

t.test('what other processes are at is shown, with counts of all', async (t) => {
  const { web, memory, add, started, goOn } = await createPair(t)
  const failed = await add('breaks')
  await until(() => memory.entries.get(failed)!.state === 'failed')
  const slow = await add('slow')
  await started
  const feed = await openFeed(t, web)
  const { engine, lists, stats } = await feed.until(({ engine }) => engine?.counts !== undefined)
  t.match(engine, { name: 'memory', counts: { queued: 0, active: 1, retrying: 0, completed: 0, failed: 1, cancelled: 0 } })
  t.equal(stats.stored, 2)
  t.match(lists.running.runs, [{ id: slow, name: 'send-email', state: 'active', attempt: 1, progress: { value: 0.5, message: 'half' }, durable: true }])
  t.match(lists.failed.runs, [{ id: failed, state: 'failed', error: 'Error: refused', durable: true }])
  goOn.open()
})

t.test('a run is in one list once, as its process knows it', async (t) => {
  const { worker, memory, add, started, goOn } = await createPair(t)
  const slow = await add('slow')
  await started
  t.equal((await listed(worker, 'running')).length, 1)
  // As if the answer were old.
  memory.entries.get(slow)!.state = 'queued'
  t.strictSame(await listed(worker, 'waiting'), [])
  memory.entries.get(slow)!.state = 'active'
  goOn.open()
})

t.test('of a local engine, each run is in a list once, however many there are', async (t) => {
  const goOn = latch()
  const engine = new MemoryEngine({ local: true })
  const work = durable('work', async () => { await goOn })
  const app = await createDashboard(t, { background: { engine, tasks: [work], concurrency: 1 } })
  await app.ready()
  for (let i = 0; i < 120; i++) app.background.addTask(work)
  await until(() => app.background.stats().active === 1 && engine.memory.entries.size === 120)
  const feed = await openFeed(t, app)
  const { lists } = await feed.until(({ engine }) => engine?.counts !== undefined)
  t.strictSame([lists.running.runs.length, lists.waiting.runs.length, lists.waiting.more], [1, 50, true])
  const ids = (await listed(app, 'waiting')).map(({ id }) => id)
  t.strictSame([ids.length, new Set(ids).size], [119, 119])
  goOn.open()
  await app.background.idle()
})

t.test('of what others have, a frame has the first fifty, and says that there are more', async (t) => {
  const { web, memory, mine } = await createPair(t)
  for (let i = 0; i < 51; i++) {
    const id = randomUUID()
    mine.put({ name: 'elsewhere', id })
    memory.entries.get(id)!.state = 'failed'
  }
  const feed = await openFeed(t, web)
  const { lists } = await feed.until(({ engine }) => engine?.counts !== undefined)
  t.strictSame([lists.failed.runs.length, lists.failed.more], [50, true])
})

t.test('where the engine has not looked at all, it is said, whatever it has found', async (t) => {
  const { web, mine } = await createPair(t)
  mine.list = async () => ({ tasks: [], cursor: '1000' })
  const feed = await openFeed(t, web)
  const { lists } = await feed.until(({ engine }) => engine?.counts !== undefined)
  const none = { runs: [], more: true }
  t.strictSame(lists, { running: none, waiting: none, failed: none })
  for (const question of ['list=failed', 'search=send']) t.strictSame((await web.inject(`/background/runs?${question}`)).json(), none)
})

t.test('a failure whose end is not known is the last of its list', async (t) => {
  const { web, memory, mine, add } = await createPair(t)
  const id = await add('breaks')
  await until(() => memory.entries.get(id)!.state === 'failed')
  for (const each of [1, 2]) {
    const id = randomUUID()
    mine.put({ name: `unknown-${each}`, id })
    memory.entries.get(id)!.state = 'failed'
  }
  t.strictSame((await listed(web, 'failed')).map(({ name }) => name), ['send-email', 'unknown-2', 'unknown-1'])
})

t.test('a durable run that is over is as the engine says, not as this process has known it', async (t) => {
  const { worker, memory, add, mend } = await createPair(t)
  const id = await add('breaks')
  await until(() => memory.entries.get(id)!.state === 'failed')
  const feed = await openFeed(t, worker)
  await feed.until(({ engine }) => engine?.counts?.failed === 1)
  t.equal((await listed(worker, 'failed')).length, 1)
  mend()
  t.strictSame((await worker.inject(change(id, 'retry'))).json(), { retried: true })
  await until(() => memory.entries.get(id)!.state === 'completed')
  t.strictSame(await listed(worker, 'failed'), [])
  await feed.until(({ lists }) => lists.failed.runs.length === 0)
  t.match((await worker.inject(`/background/runs/${id}`)).json(), { state: 'completed' })
})

t.test('of a local engine, what is over is as this process knows it, until it is told to start it again', async (t) => {
  const [engine, goOn] = [new MemoryEngine({ local: true, concurrency: 1 }), latch()]
  const breaks = durable('breaks', () => { throw new Error('refused') })
  const slow = durable('slow', async () => { await goOn })
  const app = await createDashboard(t, { background: { engine, tasks: [breaks, slow] } })
  await app.ready()
  const { id } = await app.background.addTask(breaks).finished()
  await until(() => engine.outcomes.length === 1)
  const states = async (): Promise<string[]> => [
    (await app.inject(`/background/runs/${id}`)).json().state, (await app.inject('/background/runs?search=breaks')).json().runs[0].state
  ]
  const entry = engine.memory.entries.get(id)!
  // It hears of the end a little later.
  entry.state = 'active'
  t.strictSame(await states(), ['failed', 'failed'])
  entry.state = 'failed'
  const { id: blocking } = app.background.addTask(slow)
  await until(() => app.background.get(blocking)?.state === 'active')
  t.strictSame((await app.inject(change(id, 'retry'))).json(), { retried: true })
  t.strictSame(await states(), ['queued', 'queued'])
  goOn.open()
  await until(() => engine.outcomes.length === 3)
})

t.test('a search shows a run that failed, was tried again and has completed as the row does, where the engine has let it go', async (t) => {
  const engine = new MemoryEngine({ local: true })
  let fails = true
  const breaks = durable('breaks', () => { if (fails) throw new Error('refused') })
  const app = await createDashboard(t, { background: { engine, tasks: [breaks] } })
  await app.ready()
  const { id } = await app.background.addTask(breaks).finished()
  await until(() => engine.outcomes.length === 1)
  fails = false
  t.strictSame((await app.inject(change(id, 'retry'))).json(), { retried: true })
  await until(() => engine.outcomes.length === 2)
  engine.memory.entries.delete(id)
  t.match((await app.inject(`/background/runs/${id}`)).json(), { state: 'completed' })
  t.match((await app.inject('/background/runs?search=breaks')).json().runs, { length: 1, 0: { id, state: 'completed' } })
})

t.test('a search shows a run that was taken up again elsewhere as the engine says, and at work as this process knows it', async (t) => {
  const { web, worker, memory, add, mend, started, goOn } = await createPair(t)
  const id = await add('breaks')
  await until(() => memory.entries.get(id)!.state === 'failed')
  const search = async (app: FastifyInstance): Promise<unknown> => (await app.inject('/background/runs?search=send')).json().runs
  t.match(await search(worker), [{ id, state: 'failed' }])
  memory.entries.get(id)!.state = 'completed'
  t.match(await search(worker), [{ id, state: 'completed' }])
  memory.entries.get(id)!.state = 'failed'
  mend()
  await web.inject(change(id, 'retry'))
  await until(() => memory.entries.get(id)!.state === 'completed')
  const slow = await add('slow')
  await started
  memory.entries.get(slow)!.state = 'queued'
  t.match(await search(worker), [{ id: slow, state: 'active' }, { id, state: 'completed' }])
  memory.entries.get(slow)!.state = 'active'
  goOn.open()
})

t.test('a run that has failed, was taken up again, and failed again, is in the list once, whoever asks first', async (t) => {
  const { worker, memory, add } = await createPair(t)
  const id = await add('breaks')
  await until(() => memory.entries.get(id)!.state === 'failed')
  await worker.inject(change(id, 'retry'))
  await until(() => memory.entries.get(id)!.state === 'failed')
  t.match(await listed(worker, 'failed'), { length: 1, 0: { id } })
})

t.test('what could not be stored is among the failures', async (t) => {
  const { web, mine } = await createPair(t)
  const feed = await openFeed(t, web)
  await feed.until(({ engine }) => engine?.counts !== undefined)
  mine.gates.store = () => { throw new Error('the disk is full') }
  const run = web.background.addTask(durable('send-email', () => {}))
  await t.rejects(run.stored())
  t.match(await listed(web, 'failed'), [{ id: run.id, attempt: 0, error: /could not be stored: the engine has not taken it/ }])
  t.match((await web.inject(`/background/runs/${run.id}`)).json(), { state: 'failed', stack: /the disk is full/ })
})

t.test('retry starts a failed run again, from any process', async (t) => {
  const { web, memory, add, sent, mend } = await createPair(t)
  const id = await add('breaks')
  await until(() => memory.entries.get(id)!.state === 'failed')
  mend()
  t.strictSame((await web.inject(change(id, 'retry'))).json(), { retried: true })
  await until(() => memory.entries.get(id)!.state === 'completed')
  t.strictSame(sent, ['breaks'])
  t.equal((await web.inject(change(id, 'retry'))).statusCode, 404, 'it has not failed')
})

t.test('cancel reaches a run of another process', async (t) => {
  const { web, memory, add, started } = await createPair(t)
  const id = await add('slow')
  await started
  t.strictSame((await web.inject(change(id, 'cancel'))).json(), { cancelled: true })
  t.equal(memory.entries.get(id)!.state, 'cancelled')
})

t.test('of a durable run, too, what its error was caused by is told, each with its own code', async (t) => {
  const cause = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' })
  const error = Object.assign(new TypeError('fetch failed', { cause }), { code: 'E_FETCH' })
  const breaks = durable('breaks', () => { throw error })
  const engine = new MemoryEngine()
  const app = await createDashboard(t, { background: { engine, tasks: [breaks] } })
  await app.ready()
  const { id } = await app.background.addTask(breaks).stored()
  await until(() => engine.outcomes.length === 1)
  const expected = `${error.stack}\n  code: E_FETCH\ncaused by: ${cause.stack}\n  code: ECONNREFUSED`
  t.equal((await app.inject(`/background/runs/${id}`)).json().stack, expected)
})

t.test('a search asks the engine by the id, and by the names that have the text in them', async (t) => {
  const { web, memory, add, mine } = await createPair(t)
  const id = await add('breaks')
  await until(() => memory.entries.get(id)!.state === 'failed')
  mine.put({ name: 'unknown-here', id: randomUUID() }, {})
  const names = async (text: string): Promise<string[]> =>
    (await web.inject(`/background/runs?search=${text}`)).json().runs.map(({ name }: { name: string }) => name)
  t.strictSame(await names(id.toUpperCase()), ['send-email'])
  t.strictSame(await names('EMAIL'), ['send-email'])
  t.strictSame(await names('unknown-here'), ['unknown-here'])
  t.strictSame(await names('unknown'), [], 'an engine finds whole names')
  t.strictSame(await names(randomUUID()), [])
})

t.test('arguments of durable runs are shown by showArguments alone, and after their end too', async (t) => {
  for (const showArguments of [false, true]) {
    const { web, worker, memory, add } = await createPair(t, { allowAnonymous: true, showArguments })
    const id = await add('breaks')
    await until(() => memory.entries.get(id)!.state === 'failed')
    t.equal((await web.inject(`/background/runs/${id}`)).json().args, showArguments ? "[ 'breaks' ]" : undefined)
    t.equal((await worker.inject(`/background/runs/${id}`)).json().args, undefined)
  }
})

t.test('an engine that is away is told of, and the rest goes on', async (t) => {
  const { web, mine } = await createPair(t)
  const feed = await openFeed(t, web)
  await feed.until(({ engine }) => engine?.counts !== undefined)
  const away = async (): Promise<never> => { throw new Error('connection refused') }
  Object.assign(mine, { counts: away, find: away, list: away, retry: away })
  mine.gates.cancel = away
  const { engine } = await feed.until(({ engine }) => engine?.trouble !== undefined)
  t.match(engine, { trouble: 'connection refused', counts: { queued: 0 } })
  const id = randomUUID()
  for (const url of ['/background/runs?list=running', '/background/runs?search=x', `/background/runs/${id}`]) {
    t.equal((await web.inject(url)).statusCode, 503, url)
  }
  for (const what of ['cancel', 'retry']) t.equal((await web.inject(change(id, what))).statusCode, 503, what)
})

/** An engine whose answers come when a test says so. */
function createStored () {
  let now = 0
  let asked = 0
  let answer = latch<unknown>()
  const engine = Object.assign(new MemoryEngine(), {
    async counts () {
      asked++
      const given = await answer
      if (given !== undefined) throw given
      return { queued: 1, active: 0, retrying: 0, completed: 0, failed: 0, cancelled: 0 }
    }
  })
  const stored = new StoredTasks(engine, 10, () => now)
  return {
    stored,
    asked: () => asked,
    at (time: number) {
      now = time
      stored.refresh()
    },
    async answers (given?: unknown) {
      answer.open(given)
      answer = latch()
      await turn()
    }
  }
}

t.test('the engine is asked every two seconds at most, and one question at a time', async (t) => {
  const { stored, asked, at, answers } = createStored()
  at(0)
  at(1_000)
  at(10_000)
  t.equal(asked(), 1)
  t.notOk(stored.hasAnswered)
  await answers()
  t.ok(stored.hasAnswered)
  at(10_001)
  t.equal(asked(), 2)
  await answers()
  at(12_000)
  t.equal(asked(), 2)
  at(12_001)
  t.equal(asked(), 3)
  await answers()
  stored.expire()
  at(12_002)
  t.equal(asked(), 4, 'after a change it is asked at once')
  await answers()
})

t.test('a change while the engine is asked is no trouble of its own, and it is asked again', async (t) => {
  const { stored, asked, at, answers } = createStored()
  at(0)
  stored.expire()
  at(1)
  t.strictSame([asked(), stored.shown().trouble], [1, undefined])
  await answers()
  at(2)
  t.equal(asked(), 2)
  await answers()
  at(3)
  t.equal(asked(), 2)
})

t.test('an answer that does not come is told of, until it comes', async (t) => {
  const { stored, at, answers } = createStored()
  at(0)
  t.equal(stored.shown().trouble, undefined)
  at(5_000)
  t.equal(stored.shown().trouble, 'it does not answer')
  await answers('what is no Error')
  t.equal(stored.shown().trouble, 'what is no Error')
  at(7_000)
  await answers()
  t.strictSame([stored.shown().trouble, stored.shown().counts?.queued], [undefined, 1])
})
