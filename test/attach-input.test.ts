import t, { type Test } from 'tap'
import background from '../lib/index'
import { createApp, listen } from './helpers/app'
import { counts } from './helpers/counts'

const { BackgroundTask, BackgroundTasks, errorCodes } = background
const { FST_ERR_BACKGROUND_INVALID_TASK } = errorCodes

class Task {}

/** What is no task anywhere, and what an error says about it. */
const NO_TASKS: ReadonlyArray<readonly [name: string, value: unknown, says: RegExp]> = [
  ['null', null, /got null/],
  ['a number', 1, /got number 1/],
  ['a string', 'sendEmail', /got "sendEmail"/],
  ['a symbol', Symbol('task'), /got symbol Symbol\(task\)/],
  ['an object', { fn: () => {} }, /got an object/],
  ['a promise', Promise.resolve(), /got a Promise: pass the function and its arguments, not the result of calling it/],
  ['a class', Task, /got the class Task, which cannot be called/],
  ['a generator function', function * () {}, /got a generator function/],
  ['an async generator function', async function * () {}, /got a generator function/]
]

/** What a route does not take beside these. */
const NO_ROUTE_TASKS = [
  ...NO_TASKS,
  ['an empty list', [], /expected at least one task, got an empty list/],
  ['an empty group', new BackgroundTasks(), /expected at least one task, got an empty group/],
  ['an empty group in a list', [new BackgroundTasks()], /expected at least one task, got an empty group/],
  ['a list in a list', [[() => {}]], /got a list/],
  ['a promise in a list', [() => {}, Promise.resolve()], /got a Promise: pass the function/],
  ['nothing in a list', [undefined], /got undefined/]
] as const

function assertInvalid (t: Test, error: unknown, ...says: RegExp[]): void {
  t.ok(error instanceof FST_ERR_BACKGROUND_INVALID_TASK)
  t.ok(error instanceof TypeError)
  t.match(error, { code: 'FST_ERR_BACKGROUND_INVALID_TASK', statusCode: 500 })
  for (const each of says) t.match((error as Error).message, each)
}

function errorOf (fn: () => unknown): unknown {
  try {
    fn()
  } catch (error) {
    return error
  }
}

for (const [name, value, says] of NO_ROUTE_TASKS) {
  t.test(`A2: ${name} as a route's background fails where the route is declared, and names the route`, async (t) => {
    const app = await createApp(t)
    const top = errorOf(() => app.get('/orders/:id', { background: value as never }, async () => 'ok'))
    const config = errorOf(() => app.post('/config', { config: { background: value as never } }, async () => 'ok'))

    assertInvalid(t, top, says, /Route GET \/orders\/:id: /)
    assertInvalid(t, config, says, /Route POST \/config: /)
  })
}

t.test("A2: a wrong background in a child plugin fails the application's boot", async (t) => {
  const app = await createApp(t)
  app.register(async (child) => { child.get('/x', { background: 'sendEmail' as never }, async () => 'ok') }, { prefix: '/child' })

  await t.rejects(async () => { await app.ready() }, { code: 'FST_ERR_BACKGROUND_INVALID_TASK', message: /Route GET \/child\/x: .*got "sendEmail"/ })
})

t.test('A2: background: undefined is a route without tasks', async (t) => {
  const app = await createApp(t)
  app.get('/', { background: undefined, config: { background: undefined } }, async () => 'ok')
  const { url } = await listen(app)

  t.equal((await fetch(url)).status, 200)
  t.strictSame(app.background.stats(), counts())
})

for (const [name, value, says] of [...NO_TASKS, ['undefined', undefined, /got undefined/] as const]) {
  t.test(`A2: ${name} throws at the call, whichever takes it, and nothing is accepted`, async (t) => {
    const app = await createApp(t)
    const errors: unknown[] = []
    const good = new BackgroundTask(() => {})
    app.get('/', async (_, reply) => {
      errors.push(errorOf(() => reply.background.addTask(value as never)))
      errors.push(errorOf(() => reply.background.addTasks([good, value as never])))
      errors.push(errorOf(() => app.background.addTask(value as never)))
      errors.push(errorOf(() => app.background.addTasks([good, value as never])))
      errors.push(errorOf(() => new BackgroundTask(value as never)))
      errors.push(errorOf(() => new BackgroundTasks([good, value as never])))
      errors.push(errorOf(() => new BackgroundTasks().addTask(value as never)))
      return 'ok'
    })
    const { url } = await listen(app)

    t.equal((await fetch(url)).status, 200)
    t.equal(errors.length, 7)
    for (const error of errors) assertInvalid(t, error, says)
    t.strictSame(app.background.stats(), counts())
  })
}

t.test('A2: addTasks takes nothing but a list or a group', async (t) => {
  const app = await createApp(t)
  const errors: unknown[] = []
  app.get('/', async (_, reply) => {
    for (const value of [undefined, null, () => {}, new BackgroundTask(() => {}), 'list']) {
      errors.push(errorOf(() => reply.background.addTasks(value as never)))
      errors.push(errorOf(() => app.background.addTasks(value as never)))
    }
    return 'ok'
  })
  const { url } = await listen(app)

  t.equal((await fetch(url)).status, 200)
  t.equal(errors.length, 10)
  for (const error of errors) assertInvalid(t, error, /addTasks\(\): expected a list of tasks/)
  t.strictSame(app.background.stats(), counts())
})

t.test('A2: an empty list or group can be added, and is nothing', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  const runs: unknown[] = []
  app.get('/', async (_, reply) => {
    runs.push(reply.background.addTasks([]), reply.background.addTasks(new BackgroundTasks()))
    runs.push(reply.background.addTasks([new BackgroundTasks()]), reply.background.size)
    reply.background.addTask(() => { ran.push('behind') })
    return 'ok'
  })
  const { url } = await listen(app)

  await fetch(url)
  await app.background.idle()

  t.strictSame(runs, [[], [], [], 0])
  t.strictSame(ran, ['behind'])
  t.strictSame(app.background.stats(), counts({ accepted: 1, completed: 1 }))
})

t.test('A2: a group given to addTask throws and says where it belongs', async (t) => {
  const app = await createApp(t)
  const group = new BackgroundTasks([() => {}])

  assertInvalid(t, errorOf(() => app.background.addTask(group as never)), /got a group of BackgroundTasks: pass it to addTasks\(\)/)
  t.strictSame(app.background.stats(), counts())
})

t.test('A2: arguments beside a BackgroundTask throw: it has its own', async (t) => {
  const app = await createApp(t)
  const task = new BackgroundTask((_to: string) => {}, 'a@b.c')
  const addTask = app.background.addTask.bind(app.background) as (...args: unknown[]) => unknown

  assertInvalid(t, errorOf(() => addTask(task, 'd@e.f')), /expected no further arguments beside a BackgroundTask, .*got 1, the first "d@e.f"/)
  t.strictSame(app.background.stats(), counts())
})

t.test("A2: a wrong argument throws in the caller's stack, and reaches the client as any error of the handler", async (t) => {
  const app = await createApp(t)
  let stack: string | undefined
  app.setErrorHandler(async (error: Error, _request, reply) => {
    stack = error.stack
    return reply.send(error)
  })
  app.get('/', async function addsTheResult (_, reply) {
    reply.background.addTask(Promise.resolve() as never)
    return 'never'
  })
  const { url } = await listen(app)

  const response = await fetch(url)
  t.equal(response.status, 500)
  t.match(await response.json(), { code: 'FST_ERR_BACKGROUND_INVALID_TASK' })
  t.match(stack, /addsTheResult/)
  t.strictSame(app.background.stats(), counts())
})

t.test('A2: plain, async, arrow, bound and method functions are tasks', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  const object = { async method () { ran.push('method') } }
  app.background.addTasks([
    function () { ran.push('plain') },
    async function () { ran.push('async') },
    () => { ran.push('arrow') },
    async () => { ran.push('async arrow') },
    function (this: string[]) { this.push('bound') }.bind(ran),
    object.method
  ])
  await app.background.idle()

  t.strictSame(ran.sort(), ['arrow', 'async', 'async arrow', 'bound', 'method', 'plain'])
})
