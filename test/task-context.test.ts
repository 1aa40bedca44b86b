import { AsyncLocalStorage } from 'node:async_hooks'
import { once } from 'node:events'
import t from 'tap'
import background from '../lib/index'
import { getTaskContext } from '../lib/context'
import { createApp, listen } from './helpers/app'
import { counts } from './helpers/counts'
import { latch, turn } from './helpers/latch'
import { closed, manyTurns } from './helpers/reply'
import { serve } from './helpers/serve'
import { head, rawClient } from './helpers/tcp'

const { BackgroundTask, BackgroundTasks, defineTask } = background
const broken = new Error('broken')
const AGAIN = { retries: 2, backoff: { delay: 0 } }
const store = new AsyncLocalStorage<string>()

type Context = background.TaskContext | undefined

t.test('getTaskContext() returns what is this, over awaits, timers and calls of helpers', async (t) => {
  const app = await createApp(t)
  const seen: Array<[Context, Context]> = []
  async function helper (self: background.TaskContext): Promise<void> {
    seen.push([self, getTaskContext()])
    await turn()
    seen.push([self, getTaskContext()])
  }
  async function task (this: background.TaskContext): Promise<void> {
    seen.push([this, getTaskContext()])
    await null
    seen.push([this, getTaskContext()])
    await new Promise((resolve) => setTimeout(resolve, 1))
    seen.push([this, getTaskContext()])
    await helper(this)
    await Promise.all([1, 2].map(() => helper(this)))
    setImmediate(() => { seen.push([this, getTaskContext()]) })
    await turn()
  }
  const run = app.background.addTask(task)
  await run.finished()

  t.equal(seen.length, 10)
  t.ok(seen.every(([self, context]) => self === context))
  t.ok(seen.every(([self]) => self === seen[0][0] && self!.id === run.id))
})

t.test('getTaskContext() is for arrow functions, in every place where a task can stand', async (t) => {
  const app = await createApp(t)
  const names: Array<string | undefined> = []
  const ids: Array<string | undefined> = []
  const look = (): void => {
    names.push(getTaskContext()?.name)
    ids.push(getTaskContext()?.id)
  }
  const defined = defineTask(async () => {
    await turn()
    look()
  }, { name: 'defined' })
  const list = [look, new BackgroundTask(look), defined, new BackgroundTasks([look, defined], { concurrency: 2 })]
  const runs: background.TaskRun[] = []
  app.get('/', { background: [look, defined] }, async (_, reply) => {
    runs.push(...reply.background.addTasks(list))
    return 'ok'
  })
  await app.inject('/')
  await app.background.idle()
  t.strictSame(names, ['look', 'defined', 'look', 'look', 'defined', 'look', 'defined'])
  t.strictSame(ids.slice(2), runs.map((run) => run.id))

  names.length = ids.length = 0
  runs.splice(0, Infinity, ...app.background.addTasks(list))
  await app.background.idle()
  t.strictSame(ids.sort(), runs.map((run) => run.id).sort())
})

t.test('getTaskContext() works for a function that returns a promise, a thenable, a value, or throws', async (t) => {
  const app = await createApp(t)
  const ids: Array<string | undefined> = []
  const look = (): void => { ids.push(getTaskContext()?.id) }
  const runs = app.background.addTasks([
    () => look(),
    () => Promise.resolve().then(look),
    () => {
      look()
      throw broken
    },
    () => {
      look()
      return { then (resolve: () => void) { resolve() } }
    },
    look.bind({})
  ])
  await app.background.idle()

  t.strictSame(ids.sort(), runs.map((run) => run.id).sort())
})

t.test('each attempt has a context of its own, with the id and the name of the run', async (t) => {
  const app = await createApp(t)
  const contexts: background.TaskContext[] = []
  const numbers: unknown[] = []
  const run = app.background.addTask(defineTask(async function () {
    contexts.push(this)
    await turn()
    const context = getTaskContext()!
    numbers.push([context === this, context.attempt, context.id, context.name])
    throw broken
  }, { ...AGAIN, name: 'task' }))
  await run.finished()

  t.strictSame(numbers, [1, 2, 3].map((attempt) => [true, attempt, run.id, 'task']))
  t.equal(new Set(contexts).size, 3)
  t.equal(new Set(contexts.map(({ signal }) => signal)).size, 3)
  t.strictSame(contexts.map(({ attempt }) => attempt), [1, 2, 3], 'it keeps its number')
})

t.test('a function that goes on after its attempt has ended keeps the context of that attempt', async (t) => {
  const app = await createApp(t)
  const go = latch()
  const late = latch<Context>()
  const contexts: background.TaskContext[] = []
  const run = app.background.addTask(defineTask(async function () {
    contexts.push(this)
    if (this.attempt > 1) return 'done'
    await go
    late.open(getTaskContext())
  }, { ...AGAIN, timeout: 2 }))
  await run.finished()
  go.open()

  t.ok(await late === contexts[0])
  t.equal((await late)!.attempt, 1)
  t.equal((await late)!.signal.aborted, true)
  t.equal(contexts[1].signal.aborted, false)
})

t.test('there is no context outside a task: in handlers, hooks, conditions, onTaskError', async (t) => {
  const seen: Record<string, Context> = {}
  const look = (place: string): void => { seen[place] = getTaskContext() }
  const app = await createApp(t, { onTaskError: () => { look('onTaskError') } })
  look('module')
  app.addHook('onSend', async () => { look('hook') })
  app.get('/', {
    background: defineTask(() => { throw broken }, {
      when () {
        look('condition of the route')
        return true
      }
    })
  }, async (_, reply) => {
    look('handler')
    reply.background.addTask(defineTask(async () => { throw broken }, {
      when () {
        look('condition')
        return true
      }
    }))
    return 'ok'
  })
  await app.inject('/')
  await app.background.idle()
  look('afterwards')

  t.strictSame(seen, {
    module: undefined,
    hook: undefined,
    handler: undefined,
    'condition of the route': undefined,
    condition: undefined,
    onTaskError: undefined,
    afterwards: undefined
  })
})

t.test('a task that a task adds has its own context, and so has one that it waits for', async (t) => {
  const app = await createApp(t)
  const names: Array<string | undefined> = []
  const look = (): void => { names.push(getTaskContext()?.name) }
  await serve(app, (reply) => {
    reply.background.addTask(async function outer () {
      look()
      reply.background.addTask(function later () { look() })
      await app.background.addTask(async function inner () {
        await turn()
        look()
      }).finished()
      look()
    })
  })
  await app.background.idle()

  t.strictSame(names, ['outer', 'inner', 'outer', 'later'])
})

t.test('a definition that is called directly has a context that stands in, outside a task and in one', async (t) => {
  const app = await createApp(t)
  const seen: Array<[Context, Context]> = []
  const direct = defineTask(async function (word: string) {
    seen.push([this, getTaskContext()])
    await turn()
    seen.push([this, getTaskContext()])
    return word
  }, { name: 'direct', ...AGAIN })

  t.equal(await direct('outside'), 'outside')
  t.equal(getTaskContext(), undefined)
  const run = app.background.addTask(async function outer () {
    seen.push([this, getTaskContext()])
    const result = await direct('inside')
    seen.push([this, getTaskContext()])
    return result
  })
  await run.finished()

  t.equal(run.result, 'inside')
  t.ok(seen.every(([self, context]) => self === context))
  t.strictSame(seen.map(([, context]) => [context!.name, context!.attempt]), [
    ['direct', 1], ['direct', 1], ['outer', 1], ['direct', 1], ['direct', 1], ['outer', 1]
  ])
  const ids = seen.map(([, context]) => context!.id)
  t.equal(ids[0], ids[1])
  t.equal(new Set(ids).size, 3, 'each call has an id of its own')
  t.equal(ids[2], run.id)
})

t.test('R4: requests that are interleaved over real sockets mix neither stores nor contexts', async (t) => {
  const app = await createApp(t, { concurrency: 4 })
  const mixed: string[] = []
  const looked = new Map<string, number>()
  const look = (name: string, self: background.TaskContext): void => {
    looked.set(name, (looked.get(name) ?? 0) + 1)
    if (store.getStore() !== name) mixed.push(`${name} sees ${store.getStore()}`)
    if (getTaskContext() !== self) mixed.push(`${name} has another context`)
  }
  async function work (this: background.TaskContext, name: string): Promise<void> {
    look(name, this)
    await turn()
    look(name, this)
  }
  const retried = defineTask(async function (name: string) {
    await work.call(this, name)
    if (this.attempt < 3) throw broken
  }, AGAIN)
  const timedOut = defineTask(async function (name: string) {
    await work.call(this, name)
    if (this.attempt === 1) await once(this.signal, 'abort').finally(() => look(name, this))
  }, { retries: 1_000, backoff: { delay: 0 }, timeout: 10 })
  const nested = defineTask(async function (name: string, background: background.ReplyBackground) {
    await work.call(this, name)
    background.addTask(retried, name)
    app.background.addTask(work, name)
    await turn()
    look(name, this)
  })
  const allIn = latch()
  const lost = latch()
  let entered = 0
  app.addHook('onRequest', (request, reply, done) => store.run((request.params as { name: string }).name, done))
  app.get<{ Params: { name: string } }>('/:name', {
    background: function (request) { return work.call(this, request.params.name) }
  }, async (request, reply) => {
    const { name } = request.params
    reply.background.addTasks([
      new BackgroundTask(retried, name), new BackgroundTask(timedOut, name), new BackgroundTask(nested, name, reply.background),
      new BackgroundTasks([], { concurrency: 2 }).addTask(retried, name).addTask(work, name)
    ])
    if (++entered === 12) allIn.open()
    if (name.startsWith('lost')) closed(reply).then(() => { if (--entered === 6) lost.open() })
    await allIn
    if (name.startsWith('lost')) await lost
    reply.background.addTask(work, name)
    return name
  })
  const { port, url } = await listen(app)
  const kept = [1, 2, 3, 4, 5, 6].map((i) => fetch(`${url}/kept${i}`).then((response) => response.text()))
  for (let i = 1; i <= 6; i++) {
    const client = await rawClient(port)
    client.socket.write(head('GET', `/lost${i}`))
    allIn.then(() => client.leave())
  }
  t.strictSame(await Promise.all(kept), ['kept1', 'kept2', 'kept3', 'kept4', 'kept5', 'kept6'])
  await lost
  await app.background.idle()
  await manyTurns()

  t.strictSame(mixed, [])
  const names = [...looked.keys()].sort()
  t.strictSame(names, ['kept', 'lost'].flatMap((kind) => [1, 2, 3, 4, 5, 6].map((i) => `${kind}${i}`)))
  t.strictSame(app.background.stats(), counts({ accepted: 108, completed: 108 }))
})
