import Fastify from 'fastify'
import t from 'tap'
import { defineTask } from '../../lib/definition'
import background, { BackgroundTask } from '../../lib/index'
import type { Run } from '../../lib/task-run'
import { createDashboard, dashboard, listed, openFeed, OWN } from '../helpers/dashboard'
import { latch, turn, until } from '../helpers/latch'

t.setTimeout(60_000)

const NOBODY = '00000000-0000-4000-8000-000000000000'

t.test('what is at work, what waits and what has failed is each in its list', async (t) => {
  const app = await createDashboard(t, { background: { concurrency: 1 } })
  const goOn = latch()
  await app.background.addTask(function breaks () { throw new RangeError('too far') }).finished()
  const first = app.background.addTask(async function works () {
    this.progress({ value: 0.25, message: 'a quarter' })
    await goOn
  })
  await until(() => first.progress !== undefined)
  const second = app.background.addTask(function waits () {})

  const feed = await openFeed(t, app)
  const { frame: { lists, time } } = await feed.next()
  t.match(lists, {
    running: { more: false, runs: [{ id: first.id, name: 'works', state: 'active', attempt: 1, progress: { value: 0.25, message: 'a quarter' }, durable: false }] },
    waiting: { more: false, runs: [{ id: second.id, name: 'waits', state: 'queued', attempt: 0 }] },
    failed: { more: false, runs: [{ name: 'breaks', state: 'failed', attempt: 1, error: 'RangeError: too far' }] }
  })
  t.ok(lists.running.runs[0].startedAt! <= time && lists.failed.runs[0].finishedAt! <= time)
  goOn.open()
  await app.background.idle()
  t.strictSame([await listed(app, 'running'), await listed(app, 'waiting')], [[], []])
})

t.test('one that waits for its next attempt is queued, with the error of the last', async (t) => {
  const app = await createDashboard(t, { background: { retries: 1, backoff: { delay: 60_000, jitter: false }, closeTimeout: 0 } })
  const run = app.background.addTask(async function breaks () { throw new Error('not yet') })
  await until(() => run.state === 'retrying')
  t.match(await listed(app, 'waiting'), [{ state: 'retrying', attempt: 1, error: 'Error: not yet' }])
})

t.test('progress need not have a message', async (t) => {
  const app = await createDashboard(t, { background: { closeTimeout: 0 } })
  const run = app.background.addTask(async function () {
    this.progress(0.75)
    await latch()
  })
  await until(() => run.progress !== undefined)
  t.strictSame((await listed(app, 'running'))[0].progress, { value: 0.75 })
})

t.test('the option history bounds the failures that are kept, too', async (t) => {
  for (const [history, kept] of [[{ count: 2 }, 2], [{ count: 0 }, 0], [{ age: 0 }, 0]] as const) {
    const app = await createDashboard(t, { background: { history } })
    for (let i = 0; i < 3; i++) await app.background.addTask(() => { throw new Error('no') }).finished()
    t.equal((await listed(app, 'failed')).length, kept)
  }
})

t.test('a run that failed without an attempt is among the failures', async (t) => {
  const app = await createDashboard(t)
  const strange = defineTask(() => {}, { name: 'strange', when: () => { throw new Error('no condition') } })
  app.get('/', async (_request, reply) => {
    reply.background.addTask(strange)
    return 'ok'
  })
  await app.inject('/')
  await app.background.idle()
  t.match(await listed(app, 'failed'), [{ name: 'strange', attempt: 0, error: 'Error: no condition' }])
})

t.test('of runs that end without a word nothing is kept, and nothing grows', async (t) => {
  const app = await createDashboard(t)
  const never = defineTask(() => {}, { when: () => { throw new Error('no condition') } })
  app.get('/', async (_request, reply) => {
    for (let i = 0; i < 60; i++) reply.background.addTask(never)
    return 'ok'
  })
  for (let i = 0; i < 10; i++) {
    await app.inject('/')
    await app.background.idle()
  }
  // Only the last failures are kept, however many there were.
  t.equal((await listed(app, 'failed')).length, 500)
})

t.test('a frame has the first fifty of a list, and says that there are more; who asks gets the others', async (t) => {
  const app = await createDashboard(t, { background: { concurrency: 1 } })
  const goOn = latch()
  app.background.addTask(async () => { await goOn })
  for (let i = 0; i < 300; i++) app.background.addTask(function waits () {})
  await turn()
  const feed = await openFeed(t, app)
  const { frame: { lists: { waiting } } } = await feed.next()
  t.strictSame([waiting.runs.length, waiting.more], [50, true])
  t.equal((await listed(app, 'waiting')).length, 300)
  const { runs, more } = (await app.inject('/background/runs?list=waiting&limit=10')).json()
  t.strictSame([runs.length, more], [10, true])
  goOn.open()
  await app.background.idle()
})

t.test('of more than ten thousand that wait, a sample is looked at', async (t) => {
  const app = await createDashboard(t, { background: { concurrency: 1 } })
  const goOn = latch()
  app.background.addTask(async () => { await goOn })
  for (let i = 0; i < 10_500; i++) app.background.addTask(function waits () {})
  const { runs, more } = (await app.inject('/background/runs?list=waiting')).json()
  t.strictSame([runs.length, more], [1_000, true])
  goOn.open()
  await app.background.idle()
})

t.test('a list in which nothing was found says that not all were looked at', async (t) => {
  const app = await createDashboard(t, { background: { concurrency: 10_001, closeTimeout: 0 } })
  for (let i = 0; i < 10_050; i++) app.background.addTask(async () => { await latch() })
  await until(() => app.background.stats().active === 10_001)
  const feed = await openFeed(t, app)
  const { frame: { lists } } = await feed.next()
  t.match(lists, { waiting: { runs: [], more: true }, failed: { runs: [], more: false } })
  t.strictSame((await app.inject('/background/runs?list=waiting')).json(), { runs: [], more: true })
})

t.test('the failures are the newest first, and those that completed push none out', async (t) => {
  const app = await createDashboard(t)
  for (const name of ['first', 'second', 'third']) await app.background.addTask(defineTask(() => { throw new Error(name) }, { name })).finished()
  for (let i = 0; i < 2_000; i++) app.background.addTask(() => {})
  await app.background.idle()
  const failed = await listed(app, 'failed')
  t.strictSame(failed.map(({ name }) => name), ['third', 'second', 'first'])
  t.match((await app.inject('/background/runs?list=failed&limit=1')).json(), { runs: [{ name: 'third' }], more: true })
})

t.test('a search finds by a part of the name or the beginning of the id, whatever the state', async (t) => {
  const app = await createDashboard(t, { background: { closeTimeout: 0 } })
  const done = await app.background.addTask(function sendEmail () {}).finished()
  const failed = await app.background.addTask(function sendLetter () { throw new Error('no stamp') }).finished()
  const active = app.background.addTask(async function resize () { await latch() })
  const search = async (text: string): Promise<string[]> =>
    (await app.inject(`/background/runs?search=${text}`)).json().runs.map(({ id }: { id: string }) => id)
  t.strictSame(new Set(await search('SEND')), new Set([done.id, failed.id]))
  t.strictSame(await search('resize'), [active.id])
  t.strictSame(await search(active.id.slice(0, 13)), [active.id])
  t.strictSame(await search(done.id), [done.id])
  t.strictSame(await search('nothing'), [])
  t.strictSame(await search('-'), [], 'an id has its hyphens further in')
  await app.background.addTask(function sendCard () {}).finished()
  t.match((await app.inject('/background/runs?search=send&limit=1')).json(), { runs: { length: 1 }, more: true })
})

t.test('a search looks at ten thousand unfinished runs, at all that are kept, and says so', async (t) => {
  const app = await createDashboard(t, { background: { concurrency: 1 } })
  const goOn = latch()
  const { id } = await app.background.addTask(function needle () { throw new Error('no') }).finished()
  app.background.addTask(async () => { await goOn })
  for (let i = 0; i < 10_000; i++) app.background.addTask(function waits () {})
  app.background.addTask(function needle () {})
  t.match((await app.inject('/background/runs?search=needle')).json(), { runs: [{ id }], more: true })
  goOn.open()
  await app.background.idle()
  t.match((await app.inject('/background/runs?search=needle')).json(), { runs: { length: 2 }, more: false })
})

t.test('neither a search nor an opened row gives an id to runs that are not shown', async (t) => {
  const app = await createDashboard(t, { background: { closeTimeout: 0 } })
  const run = app.background.addTask(async function active () { await latch() }) as Run
  const { id } = await app.background.addTask(() => { throw new Error('no') }).finished()
  for (const path of ['runs?search=abc', 'runs?search=-', `runs/${id}`, `runs/${NOBODY}`]) await app.inject(`/background/${path}`)
  t.equal(run.knownId, undefined)
  await app.inject('/background/runs?search=active')
  t.equal(run.knownId, run.id, 'one that is shown has one')
})

t.test('what was accepted before the dashboard is there is listed', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(background, { closeTimeout: 0 })
  for (const name of ['alone', 'first', 'second']) {
    const task = new BackgroundTask(defineTask(async () => { await latch() }, { name }))
    if (name === 'alone') app.background.addTask(task)
    else app.background.addTasks([task])
  }
  await app.register(dashboard, { allowAnonymous: true })
  await app.ready()
  t.strictSame((await listed(app, 'running')).map(({ name }) => name), ['alone', 'first', 'second'])
})

t.test('the stack of an error is there for who asks', async (t) => {
  const app = await createDashboard(t)
  const error = Object.assign(new Error('no way'), { code: 'E_NO_WAY' })
  const run = await app.background.addTask(() => { throw error }).finished()
  const detail = (await app.inject(`/background/runs/${run.id}`)).json()
  t.match(detail, { id: run.id, state: 'failed', error: 'Error: no way' })
  t.equal(detail.stack, `${error.stack}\n  code: E_NO_WAY`)
})

t.test('what an error was caused by is told with it', async (t) => {
  const app = await createDashboard(t)
  const refused = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' })
  const failed = new TypeError('fetch failed', { cause: refused })
  const detailOf = async (error: unknown): Promise<{ error: string, stack: string }> => {
    const { id } = await app.background.addTask(() => { throw error }).finished()
    return (await app.inject(`/background/runs/${id}`)).json()
  }
  t.match(await detailOf(failed), { error: 'TypeError: fetch failed', stack: `${failed.stack}\ncaused by: ${refused.stack}\n  code: ECONNREFUSED` })
  t.equal((await detailOf(Object.assign(new Error('no'), { stack: 'no', cause: null }))).stack, 'no')
  t.equal((await detailOf({ stack: 'no', get cause () { throw new Error('trap') } })).stack, 'no')
  const endless = new Error('again')
  endless.stack = 'again'
  endless.cause = endless
  t.equal((await detailOf(endless)).stack.split('caused by').length, 5)
})

t.test('arguments are hidden, unless showArguments', async (t) => {
  for (const showArguments of [false, true]) {
    const app = await createDashboard(t, { dashboard: { allowAnonymous: true, showArguments }, background: { closeTimeout: 0 } })
    const secret = { password: 'lovelace', get trap () { throw new Error('a getter was called') }, toJSON () { throw new Error('asked') } }
    const run = app.background.addTask(async (_secret: object) => { await latch() }, secret)
    await turn()
    const { body } = await app.inject(`/background/runs/${run.id}`)
    t.equal(body.includes('lovelace'), showArguments)
    t.notOk((await app.inject('/background/runs?list=running')).body.includes('lovelace'))
    run.cancel()
    t.notOk((await app.inject(`/background/runs/${run.id}`)).body.includes('lovelace'), 'a run that is over has let go of them')
  }
})

t.test('arguments of any kind are shown, or that they cannot be read, and never more than anybody reads', async (t) => {
  const app = await createDashboard(t, { dashboard: { allowAnonymous: true, showArguments: true }, background: { closeTimeout: 0 } })
  const trap = (): never => { throw new Error('trap') }
  const { proxy: revoked, revoke } = Proxy.revocable({}, {})
  revoke()
  let keys = 0
  const nested = (depth: number): object => Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`key${i}`, depth === 0 ? i : nested(depth - 1)]))
  const shared = nested(0)
  const wide = { a: shared, b: shared, c: { ...nested(0), get last () { return keys++ } } }
  const args: Array<[arg: unknown, shown: string | RegExp]> = [
    ['a text', "[ 'a text' ]"], [null, '[ null ]'], [undefined, '[ undefined ]'],
    [Object.assign(Object.create(null), { a: 1 }), '[ [Object: null prototype] { a: 1 } ]'],
    [{ get [Symbol.toStringTag] () { return trap() }, a: 1 }, '[ { a: 1 } ]'],
    [{ get a () { return trap() } }, '[ { a: [Getter] } ]'],
    [[1, , 3], '[ [ 1, <1 empty item>, 3 ] ]'], // eslint-disable-line no-sparse-arrays
    [[[[[{ a: 1 }]]]], /\[ \[ \[ \[Array] ] ] ]/],
    [new Map([['a', 1]]), "[ Map(1) { 'a' => 1 } ]"],
    [Array.from({ length: 1_000 }, () => 0), /980 more items/],
    [new Proxy({}, { get: trap, ownKeys: trap, getPrototypeOf: trap }), '[ {} ]'],
    [revoked, '[ <Revoked Proxy> ]'],
    [new (class { static get name () { return trap() } })(), 'arguments that cannot be read'],
    [wide, /^\[\n {2}\{\n {4}a: \{\n {6}key0: 0,/],
    [nested(2), /key0: 0,/]
  ]
  for (const [arg, shown] of args) {
    const run = app.background.addTask(async (_arg: unknown) => { await latch() }, arg)
    const detail = (await app.inject(`/background/runs/${run.id}`)).json()
    t.match(detail.args, shown)
    t.ok(detail.args.length <= 4_001)
  }
  t.equal(keys, 0)
})

t.test('results are not shown', async (t) => {
  const app = await createDashboard(t)
  const run = await app.background.addTask(() => 'a secret result').finished()
  const { body } = await app.inject(`/background/runs/${run.id}`)
  t.match(JSON.parse(body), { state: 'completed' })
  t.notMatch(body, 'secret')
})

t.test('an error of any kind is shown, or that it cannot be read', async (t) => {
  const app = await createDashboard(t)
  const trap = (): never => { throw new Error('trap') }
  const errors: Array<[error: unknown, shown: string | undefined]> = [
    ['a text', 'a text'], [null, 'null'], [undefined, undefined], [42, '42'], [Symbol('s'), 'Symbol(s)'],
    [{ message: 'no error' }, 'no error'],
    [{ name: 3, message: 'odd name' }, 'odd name'],
    [{ name: 'Plain', message: 'no stack' }, 'Plain: no stack'],
    [Object.create(null), 'an error that cannot be read'],
    [{ get message () { return trap() } }, 'an error that cannot be read'],
    [{ message: 'fine', get stack () { return trap() } }, 'fine'],
    [new Proxy({}, { get: trap }), 'an error that cannot be read']
  ]
  for (const [error, shown] of errors) {
    const run = await app.background.addTask(() => { throw error }).finished()
    const detail = (await app.inject(`/background/runs/${run.id}`)).json()
    t.equal(detail.error, shown)
    t.equal(detail.stack, shown)
  }
  t.equal((await listed(app, 'failed')).length, errors.length)
})

t.test('long texts are cut', async (t) => {
  const app = await createDashboard(t, { dashboard: { allowAnonymous: true, showArguments: true }, background: { closeTimeout: 0 } })
  const long = 'x'.repeat(100_000)
  const run = app.background.addTask(defineTask(async function (_text: string) {
    this.progress({ value: 0.5, message: long })
    await latch()
  }, { name: long }), long)
  await until(() => run.progress !== undefined)
  await app.background.addTask(() => { throw new Error(long) }).finished()
  for (const path of ['runs?list=running', 'runs?list=failed', `runs/${run.id}`]) {
    t.ok((await app.inject(`/background/${path}`)).body.length < 10_000)
  }
})

t.test('cancel ends a run of this process, and says so in the log', async (t) => {
  const lines: string[] = []
  const app = await createDashboard(t, { server: { logger: { level: 'info', stream: { write (line: string) { lines.push(line) } } } } })
  const run = app.background.addTask(async () => { await latch() })
  await turn()
  const ask = async () => await app.inject({ method: 'POST', url: `/background/runs/${run.id}/cancel`, headers: OWN, payload: '{}' })
  t.strictSame((await ask()).json(), { cancelled: true })
  t.equal(run.state, 'cancelled')
  t.equal(lines.map((line) => JSON.parse(line)).filter(({ msg, taskId }) => msg === 'background task cancelled from the dashboard' && taskId === run.id).length, 1)
  t.equal((await ask()).statusCode, 404, 'it is over')
})

t.test('what there is not cannot be shown, cancelled or retried', async (t) => {
  const app = await createDashboard(t)
  const run = await app.background.addTask(() => { throw new Error('no') }).finished()
  t.equal((await app.inject(`/background/runs/${NOBODY}`)).statusCode, 404)
  for (const [id, what] of [[NOBODY, 'cancel'], [NOBODY, 'retry'], ['..%2f..', 'cancel'], ['x:y', 'retry'], [run.id, 'retry']]) {
    t.equal((await app.inject({ method: 'POST', url: `/background/runs/${id}/${what}`, headers: OWN, payload: '{}' })).statusCode, 404, id)
  }
})

t.test('a question that makes no sense is a 400', async (t) => {
  const app = await createDashboard(t)
  for (const query of ['', '?list=all', '?search=', '?search=a&list=failed', '?search=a&search=b', '?list=failed&limit=0',
    '?list=failed&limit=1001', '?list=failed&limit=x', '?list=failed&limit=1.5', `?search=${'x'.repeat(201)}`]) {
    t.equal((await app.inject(`/background/runs${query}`)).statusCode, 400, query)
  }
})

t.test('the runs of another application are not shown', async (t) => {
  const [app, other] = [await createDashboard(t), await createDashboard(t)]
  const run = await other.background.addTask(() => { throw new Error('elsewhere') }).finished()
  t.strictSame(await listed(app, 'failed'), [])
  t.equal((await app.inject(`/background/runs/${run.id}`)).statusCode, 404)
  t.equal((await listed(other, 'failed')).length, 1)
})
