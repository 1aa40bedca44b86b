import t from 'tap'
import Fastify, { type FastifyInstance, type FastifyReply, type RouteShorthandOptions } from 'fastify'
import background from '../lib/index'
import { anotherCopy } from './helpers/another-copy'
import { createApp } from './helpers/app'
import { counts } from './helpers/counts'
import { turn } from './helpers/latch'
import { AT_ONCE } from './helpers/policies'
import { serve } from './helpers/serve'

const { BackgroundTask, BackgroundTasks, defineTask } = background
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

t.test('a definition goes by its name, else by that of its function', async (t) => {
  const app = await createApp(t)
  for (const [expected, definition] of [
    ['send-email', defineTask(function send () {}, { name: 'send-email' })],
    ['send', defineTask(function send () {})],
    ['send', defineTask(function send () {}, { name: undefined })],
    ['anonymous', defineTask((() => () => {})())]
  ] as const) {
    const run = app.background.addTask(definition)
    t.equal(definition.name, expected)
    t.equal(definition.options.name, expected)
    t.equal(run.name, expected)
  }
  await app.background.idle()
})

t.test('the options of a definition are a frozen copy of what it was given', async (t) => {
  const backoff = { delay: 1 }
  const options = { name: 'task', timeout: 5, retries: 2, backoff }
  const definition = defineTask(() => {}, options)
  Object.assign(options, { retries: 9, name: 'changed' })
  backoff.delay = 9

  t.match(definition.options, { name: 'task', when: undefined, timeout: 5, retries: 2, backoff: { delay: 1, factor: undefined } })
  for (const [object, key] of [[definition.options, 'retries'], [definition.options.backoff!, 'delay'], [definition, 'options']] as const) {
    t.notOk(Reflect.set(object, key, 1), `${key} cannot be set`)
  }
})

t.test('what cannot be a task cannot be defined as one', async (t) => {
  for (const [value, got] of [
    [undefined, 'undefined'], [null, 'null'], ['send', '"send"'], [{}, 'an object'], [Promise.resolve(), 'a Promise: pass the function'],
    [class Email {}, 'the class Email'], [function * () {}, 'a generator function'], [async function * () {}, 'a generator function'],
    [new BackgroundTask(() => {}), 'a BackgroundTask'], [new BackgroundTasks(), 'a group of BackgroundTasks']
  ] as const) {
    const error = errorOf(() => defineTask(value as never))
    t.ok(error instanceof TypeError)
    t.match(error, { code: 'FST_ERR_BACKGROUND_INVALID_TASK', message: /^defineTask\(\): expected / })
    t.match((error as Error).message, `, got ${got}`)
  }
})

t.test('a definition cannot be defined again, be it of another copy of the package', async (t) => {
  const other = anotherCopy()
  t.not(other.defineTask, defineTask)
  for (const definition of [defineTask(() => {}, { name: 'first' }), other.defineTask(() => {}, { name: 'first' })]) {
    const error = errorOf(() => defineTask(definition, { name: 'second' }))
    t.ok(error instanceof TypeError)
    t.equal((error as Error).message, 'defineTask(): expected a function, got the definition first')
  }
})

t.test('a definition of another copy of the package keeps its policy', async (t) => {
  const app = await createApp(t)
  const definition = anotherCopy().defineTask(function () { if (this.attempt === 1) throw new Error('broken') }, { retries: 1, backoff: AT_ONCE })
  const run = await app.background.addTask(definition).finished()

  t.match(run, { state: 'completed', attempt: 2 })
})

t.test('called directly, a definition runs its function here and now, with its arguments', async (t) => {
  const error = new Error('broken')
  const sum = defineTask((a: number, b: number) => a + b)
  const count = defineTask((...args: unknown[]) => args.length, { retries: 3, timeout: 1 })
  const later = defineTask(async (value: string) => { await turn(); return value })

  t.equal(sum(1, 2), 3)
  t.equal(count(), 0)
  t.equal(await later('later'), 'later')
  let calls = 0
  t.equal(errorOf(() => defineTask(() => { calls++; throw error }, { retries: 3 })()), error)
  t.equal(await defineTask(async () => { calls++; throw error }, { retries: 3 })().catch((error) => error), error)
  t.equal(calls, 2, 'an error is the caller\'s, and nothing is tried again')
})

t.test('called directly, a definition has a context that stands in for a run\'s', async (t) => {
  const contexts: background.TaskContext[] = []
  const definition = defineTask(function () { contexts.push(this) }, { name: 'direct', timeout: 1 })
  definition()
  definition.call({ name: 'another this' })
  const [first, second] = contexts

  t.match(first.id, UUID)
  t.equal(first.id, first.id)
  t.not(first.id, second.id)
  t.equal(second.name, 'direct')
  t.equal(first.attempt, 1)
  t.equal(first.signal.aborted, false)
  t.equal(first.signal, first.signal)
  t.not(first.signal, second.signal)
  for (const log of [first.log, first.log.child({ some: 'binding' })]) {
    for (const level of ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const) t.equal(log[level]('nothing'), undefined)
  }
  t.equal(first.progress(0.5), undefined)
  t.equal(first.progress({ value: 1, message: 'done' }), undefined)
  t.match(errorOf(() => first.progress(2)), { code: 'FST_ERR_BACKGROUND_INVALID_OPTION', message: /^Option "progress": / })
})

t.test('one definition serves applications of different defaults', async (t) => {
  const definition = defineTask(() => { throw new Error('broken') }, { backoff: AT_ONCE })
  const attempts: number[] = []
  for (const retries of [1, 3, 0]) {
    const app = await createApp(t, { retries })
    for (let i = 0; i < 2; i++) attempts.push((await app.background.addTask(definition).finished()).attempt)
  }
  t.strictSame(attempts, [2, 2, 4, 4, 1, 1])
})

/** Adds a definition somewhere in the request or outside: the calls that are expected of it. */
type Place = (definition: background.TaskDefinition<unknown[]>, reply: FastifyReply, app: FastifyInstance) => unknown
const some = { a: 'argument' }

const places: Record<string, [add: Place, args: unknown[]]> = {
  'a reply\'s addTask': [(definition, reply) => reply.background.addTask(definition, some), [some]],
  'a BackgroundTask': [(definition, reply) => reply.background.addTask(new BackgroundTask(definition, some)), [some]],
  'a list': [(definition, reply) => reply.background.addTasks([definition]), []],
  'a BackgroundTask in a list': [(definition, reply) => reply.background.addTasks([new BackgroundTask(definition, some)]), [some]],
  'a group': [(definition, reply) => reply.background.addTasks(new BackgroundTasks([definition])), []],
  'a group\'s addTask': [(definition, reply) => reply.background.addTasks([new BackgroundTasks().addTask(definition, some)]), [some]],
  'app.background': [(definition, _, app) => app.background.addTask(definition, some), [some]],
  'a list of app.background': [(definition, _, app) => app.background.addTasks([definition]), []],
  'a group of app.background': [(definition, _, app) => app.background.addTasks(new BackgroundTasks([definition])), []]
}

for (const [place, [add, args]] of Object.entries(places)) {
  t.test(`a definition in ${place} is run by its policy`, async (t) => {
    const app = await createApp(t)
    const { definition, calls } = twice()
    await serve(app, (reply) => add(definition, reply, app))
    await app.background.idle()

    t.strictSame(calls, [['defined', 1, ...args], ['defined', 2, ...args]])
    t.strictSame(app.background.stats(), counts({ accepted: 1, completed: 1 }))
  })
}

const routes: Record<string, [route: (definition: background.TaskDefinition<unknown[]>) => RouteShorthandOptions, args: 'route' | 'own' | 'none']> = {
  'the top level of a route': [(definition) => ({ background: definition }), 'route'],
  'a list on a route': [(definition) => ({ background: [definition] }), 'route'],
  'the config of a route': [(definition) => ({ config: { background: definition } }), 'route'],
  'a BackgroundTask on a route': [(definition) => ({ background: new BackgroundTask(definition, some) }), 'own'],
  'a group on a route': [(definition) => ({ background: [new BackgroundTasks([definition])] }), 'none']
}

for (const [place, [route, args]] of Object.entries(routes)) {
  t.test(`a definition in ${place} is run by its policy`, async (t) => {
    const app = await createApp(t)
    const { definition, calls } = twice()
    const own: unknown[] = []
    app.get('/', route(definition), async (request, reply) => {
      own.push(...{ route: [request, reply], own: [some], none: [] }[args])
      return 'ok'
    })
    await app.inject('/')
    await app.background.idle()

    t.strictSame(calls.map(([name, attempt, ...args]) => [name, attempt, args.length]), [['defined', 1, own.length], ['defined', 2, own.length]])
    for (const [, , ...args] of calls) own.forEach((each, i) => t.equal(args[i], each))
    t.strictSame(app.background.stats(), counts({ accepted: 1, completed: 1 }))
  })
}

t.test('a definition in the config of a route that is older than the plugin is run by its policy', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  const { definition, calls } = twice()
  app.get('/', { config: { background: definition } }, async () => 'ok')
  await app.register(background)
  await app.inject('/')
  await app.background.idle()

  t.strictSame(calls.map(([name, attempt]) => [name, attempt]), [['defined', 1], ['defined', 2]])
})

const child = defineTask((note: () => void) => { note() }, { name: 'child' })

for (const [how, wait] of [['returns', () => {}], ['resolves with', turn]] as const) {
  for (const [what, tasksOf, times] of [
    ['a task', (note: () => void) => new BackgroundTask(child, note), 1],
    ['a group', (note: () => void) => new BackgroundTasks([new BackgroundTask(child, note), note]), 2],
    ['a list', (note: () => void) => [new BackgroundTask(child, note), new BackgroundTasks([note]), defineTask(note)], 3]
  ] as const) {
    t.test(`${what} that a definition on a route ${how} is added once, by the attempt that completes`, async (t) => {
      const app = await createApp(t)
      const calls: unknown[] = []
      const parent = defineTask(function (): unknown {
        const { attempt } = this
        const waited = wait()
        if (attempt === 1) throw new Error('broken')
        const tasks = tasksOf(() => { calls.push(attempt) })
        return waited instanceof Promise ? waited.then(() => tasks) : tasks
      }, { retries: 1, backoff: AT_ONCE })
      app.get('/', { background: parent }, async (request, reply) => {
        reply.background.addTask(() => { calls.push('added before') })
        return 'ok'
      })
      await app.inject('/')
      await app.background.idle()

      t.strictSame(calls, ['added before', ...new Array(times).fill(2)])
      t.strictSame(app.background.stats(), counts({ accepted: 2 + times, completed: 2 + times }))
    })
  }
}

for (const [where, plugin, when, status, expected] of [
  ['reply', undefined, 'error', 200, 'discarded'],
  ['reply', undefined, 'error', 500, 'completed'],
  ['reply', 'error', 'success', 200, 'completed'],
  ['reply', 'always', () => false, 200, 'discarded'],
  ['reply', 'error', undefined, 200, 'discarded'],
  ['group', 'error', 'always', 200, 'completed'],
  ['group', undefined, 'error', 200, 'discarded'],
  ['route', undefined, 'always', 500, 'completed'],
  ['route', undefined, undefined, 500, 'discarded'],
  ['route', 'error', 'success', 500, 'discarded'],
  ['route', 'always', undefined, 500, 'completed'],
  ['app', 'error', 'error', 200, 'completed'],
  ['app', undefined, () => false, 200, 'completed']
] as const) {
  const says = (when: unknown): string => typeof when === 'function' ? 'a function' : String(when)
  t.test(`T4: a definition with when ${says(when)} in the ${where}, where the plugin has ${plugin}, is ${expected} at ${status}`, async (t) => {
    const app = await createApp(t, { when: plugin })
    const definition = defineTask(() => {}, { when })
    app.get('/', { background: where === 'route' ? definition : undefined }, async (request, reply) => {
      if (where === 'reply') reply.background.addTask(definition)
      if (where === 'group') reply.background.addTasks(new BackgroundTasks([definition]))
      if (where === 'app') app.background.addTask(definition)
      return reply.code(status).send('text')
    })
    await app.inject('/')
    await app.background.idle()

    t.strictSame(app.background.stats(), counts({ accepted: 1, [expected]: 1 }))
  })
}

t.test('T4: the condition of a definition is called once, with the request and the reply, however often the task is tried', async (t) => {
  const app = await createApp(t)
  const asked: unknown[][] = []
  const given: unknown[] = []
  const definition = defineTask(() => { throw new Error('broken') }, { when (...args) { asked.push(args); return true }, retries: 2, backoff: AT_ONCE })
  await serve(app, (reply, request) => {
    given.push(request, reply)
    reply.background.addTask(definition)
  })
  await app.background.idle()

  t.equal(asked.length, 1)
  t.equal(asked[0].length, 2)
  t.ok(asked[0][0] === given[0] && asked[0][1] === given[1])
})

/** A definition that fails in its first attempt, and what it was called with. */
function twice (): { definition: background.TaskDefinition<unknown[]>, calls: unknown[][] } {
  const calls: unknown[][] = []
  const definition = defineTask(function (...args: unknown[]) {
    calls.push([this.name, this.attempt, ...args])
    if (this.attempt === 1) throw new Error('broken')
  }, { name: 'defined', retries: 1, backoff: AT_ONCE })
  return { definition, calls }
}

function errorOf (fn: () => unknown): unknown {
  try {
    fn()
  } catch (error) {
    return error
  }
}
