import t from 'tap'
import Fastify from 'fastify'
import background from '../lib/index'
import * as errors from '../lib/errors'
import { createApp } from './helpers/app'
import { MemoryEngine } from './helpers/memory-engine'
import { serve } from './helpers/serve'

const { defineTask } = background
const send = defineTask(() => {}, { name: 'send' })

const WHEN = "'always', 'success', 'error' or a synchronous function"
const CLOSE_TIMEOUT = 'an integer of milliseconds from 0 to 3600000'
const SETTLE_TIMEOUT = 'an integer of milliseconds from 0 to 2147483647'

const wrong: Array<[option: string, expected: string, cases: Array<[value: unknown, got: string]>]> = [
  ['when', WHEN, [
    [null, 'null'], [true, 'boolean true'], [1, 'number 1'], ['', '""'], ['Always', '"Always"'], ['failure', '"failure"'],
    [['success'], 'a list'], [{}, 'an object'], [async () => true, 'a function'],
    [function * () {}, 'a generator function'], [async function * () {}, 'a generator function']
  ]],
  ['closeTimeout', CLOSE_TIMEOUT, [
    [null, 'null'], ['1000', '"1000"'], [-1, 'number -1'], [1.5, 'number 1.5'], [NaN, 'number NaN'], [Infinity, 'number Infinity'],
    [3_600_001, 'number 3600001'], [true, 'boolean true'], [10n, 'bigint 10'], [{}, 'an object']
  ]],
  ['settleTimeout', SETTLE_TIMEOUT, [
    [null, 'null'], ['1000', '"1000"'], [-1, 'number -1'], [0.5, 'number 0.5'], [NaN, 'number NaN'], [Infinity, 'number Infinity'],
    [2_147_483_648, 'number 2147483648'], [[], 'an empty list']
  ]],
  ['onTaskError', 'a function', [
    [null, 'null'], [true, 'boolean true'], ['log', '"log"'], [{}, 'an object'], [Symbol('log'), 'symbol Symbol(log)'],
    [Promise.resolve(), 'a Promise']
  ]],
  ['autorun', 'true or false', [[null, 'null'], [0, 'number 0'], ['no', '"no"']]],
  ['engine', 'an engine, as of journal() or bullmq()', [
    [null, 'null'], [true, 'boolean true'], ['journal', '"journal"'], [{}, 'an object'], [{ open () {} }, 'an object']
  ]],
  ['tasks', 'a list of definitions', [[null, 'null'], [{}, 'an object'], [defineTask(() => {}), 'a function']]],
  ['worker', 'true or false', [[null, 'null'], [0, 'number 0'], ['no', '"no"']]],
  ['storeTimeout', 'an integer of milliseconds from 1 to 60000', [
    [null, 'null'], [0, 'number 0'], [-1, 'number -1'], [1.5, 'number 1.5'], [60_001, 'number 60001'], ['1000', '"1000"']
  ]],
  ['maxArgsSize', 'an integer of at least 1', [
    [null, 'null'], [0, 'number 0'], [1.5, 'number 1.5'], [Infinity, 'number Infinity'], [2 ** 53, 'number 9007199254740992']
  ]],
  ['maxRestarts', 'an integer from 0 to 1000000', [
    [null, 'null'], [-1, 'number -1'], [1.5, 'number 1.5'], [1_000_001, 'number 1000001']
  ]],
  ['unknownTaskGrace', SETTLE_TIMEOUT, [[null, 'null'], [-1, 'number -1'], [2_147_483_648, 'number 2147483648']]],
  ['history', 'an object', [[null, 'null'], [true, 'boolean true'], [100, 'number 100'], [[], 'an empty list']]]
]

for (const [option, expected, cases] of wrong) {
  for (const [value, got] of cases) {
    t.test(`register fails where ${option} is ${got}`, async (t) => {
      await t.rejects(register({ [option]: value }), {
        code: 'FST_ERR_BACKGROUND_INVALID_OPTION', message: `Option "${option}": expected ${expected}, got ${got}`
      })
    })
  }
}

const right: Record<string, unknown[]> = {
  when: ['always', 'success', 'error', () => true, function () { return true }],
  closeTimeout: [0, 1, 10_000, 3_600_000],
  settleTimeout: [0, 1, 60_000, 2_147_483_647],
  onTaskError: [() => {}, async () => {}],
  engine: [new MemoryEngine()],
  tasks: [[], [defineTask(function send () {})]],
  worker: [true, false],
  storeTimeout: [1, 60_000],
  maxArgsSize: [1, Number.MAX_SAFE_INTEGER],
  maxRestarts: [0, 1_000_000],
  unknownTaskGrace: [0, 2_147_483_647],
  history: [{}, { count: 0 }, { count: 1_000_000 }, { age: 0 }, { count: undefined, age: 2_147_483_647 }]
}

for (const [option, values] of Object.entries(right)) {
  t.test(`${option} takes the whole of its range, and undefined`, async (t) => {
    for (const value of [...values, undefined]) await t.resolves(register({ [option]: value }))
  })
}

// One that a later version may bring, misspelled ones, and what every object has.
const OPTIONS = "'when', 'timeout', 'retries', 'backoff', 'concurrency', 'maxPending', 'closeTimeout', 'settleTimeout', " +
  "'onTaskError', 'autorun', 'engine', 'tasks', 'worker', 'storeTimeout', 'maxArgsSize', 'maxRestarts', 'unknownTaskGrace', 'history'"

for (const option of ['concurency', 'closeTimout', 'CloseTimeout', 'toString', 'constructor', '']) {
  t.test(`register fails with the unknown option ${JSON.stringify(option)}`, async (t) => {
    await t.rejects(register({ [option]: 1 }), {
      code: 'FST_ERR_BACKGROUND_INVALID_OPTION',
      message: `Option "${option}": expected one of ${OPTIONS}, got an unknown name`
    })
  })
}

for (const [option, value, expected] of [
  ['count', -1, 'an integer from 0 to 1000000, got number -1'],
  ['count', Infinity, 'an integer from 0 to 1000000, got number Infinity'],
  ['count', 1_000_001, 'an integer from 0 to 1000000, got number 1000001'],
  ['age', '1h', 'an integer of milliseconds from 0 to 2147483647, got "1h"'],
  ['age', 2_147_483_648, 'an integer of milliseconds from 0 to 2147483647, got number 2147483648'],
  ['size', 1, "one of 'count', 'age', got an unknown name"]
] as const) {
  t.test(`register fails where history.${option} is ${value}`, async (t) => {
    await t.rejects(register({ history: { [option]: value } }), {
      code: 'FST_ERR_BACKGROUND_INVALID_OPTION', message: `Option "history.${option}": expected ${expected}`
    })
  })
}

t.test('register fails with a closeTimeout that would take more hooks than Fastify can run', async (t) => {
  const app = Fastify({ pluginTimeout: 1_000 })
  t.teardown(() => app.close())
  await t.rejects(async () => { await app.register(background, { closeTimeout: 800_001 }) }, {
    code: 'FST_ERR_BACKGROUND_INVALID_OPTION',
    message: 'Option "closeTimeout": expected at most 800000 with a pluginTimeout of 1000, got number 800001'
  })
})

for (const [what, tasks, expected] of [
  ['what is no definition', [send, null], 'a definition, as of defineTask(), got null'],
  ['a plain function', [send, () => {}], 'a definition, as of defineTask(), got a function'],
  ['a definition without a name', [send, defineTask(() => {})], 'a definition with a name, got one without'],
  ['a name twice', [send, defineTask(() => {}, { name: 'send' })], 'a name of its own, got "send" again']
] as const) {
  t.test(`register fails with ${what} among the tasks`, async (t) => {
    await t.rejects(register({ tasks }), {
      code: 'FST_ERR_BACKGROUND_INVALID_OPTION', message: `Option "tasks[1]": expected ${expected}`
    })
  })
}

t.test('register fails with a durable task and no engine to keep it', async (t) => {
  await t.rejects(register({ tasks: [defineTask(() => {}, { name: 'send', durable: true })] }), {
    code: 'FST_ERR_BACKGROUND_NO_ENGINE', message: 'Background task "send" is durable, and there is no "engine"'
  })
})

t.test('register fails without a worker where no other process could be one', async (t) => {
  const engine = new MemoryEngine({ local: true })
  await t.rejects(register({ engine, worker: false }), {
    code: 'FST_ERR_BACKGROUND_INVALID_OPTION',
    message: `Option "worker": expected true with the engine ${engine.name}: no other process can work on what it holds, got false`
  })
})

t.test('an unknown option fails even where it is undefined', async (t) => {
  await t.rejects(register({ closeTimout: undefined }), { code: 'FST_ERR_BACKGROUND_INVALID_OPTION' })
})

t.test('register fails with an option that is __proto__', async (t) => {
  await t.rejects(register(JSON.parse('{"__proto__": 1}')), { code: 'FST_ERR_BACKGROUND_INVALID_OPTION' })
})

t.test('the options of Fastify\'s own pass', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(background, { prefix: '/prefix', logLevel: 'warn', logSerializers: {}, closeTimeout: 1 })
  t.equal((await app.background.addTask(() => 'done').finished()).result, 'done')
})

t.test('the options may come from a function, as Fastify allows', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await t.rejects(async () => await app.register(background, () => ({ when: 'never' } as never)), {
    code: 'FST_ERR_BACKGROUND_INVALID_OPTION', message: /"when"/
  })
})

t.test('the options are checked once: what is changed later has no effect', async (t) => {
  const options: background.BackgroundOptions = { when: 'always', onTaskError: undefined }
  const app = await createApp(t, options)
  options.when = 'error'
  options.onTaskError = () => { throw new Error('not to be called') }
  let run!: background.TaskRun
  await serve(app, (reply) => { run = reply.background.addTask(() => {}) })

  t.equal((await run.finished()).state, 'completed')
})

t.test('undefined means the default: a call\'s task runs always, a route\'s on success', async (t) => {
  const app = await createApp(t, { when: undefined, closeTimeout: undefined, settleTimeout: undefined, onTaskError: undefined })
  const ran: string[] = []
  app.get('/', { background: () => { ran.push('route') } }, async (request, reply) => {
    reply.background.addTask(() => { ran.push('call') })
    return reply.code(400).send('no')
  })
  await app.inject('/')
  await app.background.idle()

  t.strictSame(ran, ['call'])
})

for (const [when, status, expected] of [
  ['always', 200, ['route', 'call']],
  ['always', 500, ['route', 'call']],
  ['success', 399, ['route', 'call']],
  ['success', 400, []],
  ['error', 399, []],
  ['error', 400, ['route', 'call']]
] as const) {
  t.test(`T4: with when '${when}', the tasks of a reply of ${status} that run are [${expected.join(', ')}]`, async (t) => {
    const app = await createApp(t, { when })
    const ran: string[] = []
    app.get('/', { background: () => { ran.push('route') } }, async (request, reply) => {
      reply.background.addTask(() => { ran.push('call') })
      return reply.code(status).send('text')
    })
    await app.inject('/')
    await app.background.idle()

    t.strictSame(ran, expected)
    t.equal(app.background.stats().discarded, 2 - expected.length)
  })
}

t.test('the table of errors is what the entry exports, and every name is its code', async (t) => {
  t.strictSame(Object.keys(background.errorCodes).sort(), Object.keys(errors).sort())
  for (const [name, constructor] of Object.entries(background.errorCodes)) {
    t.match(name, /^FST_ERR_BACKGROUND_[A-Z_]+$/)
    t.equal(constructor, (errors as Record<string, unknown>)[name])
    const error = new (constructor as unknown as new (...args: string[]) => Error & { code: string })('a', 'b', 'c')
    t.equal(error.code, name)
    t.ok(error instanceof Error)
    t.notMatch(error.message, /%/)
  }
})

t.test('the errors have the status that a client is to see', async (t) => {
  const { FST_ERR_BACKGROUND_CLOSED, FST_ERR_BACKGROUND_INVALID_OPTION, FST_ERR_BACKGROUND_INVALID_TASK } = background.errorCodes

  t.match(new FST_ERR_BACKGROUND_CLOSED('task', 'refused'), { statusCode: 503, message: /"task"/ })
  t.equal(new FST_ERR_BACKGROUND_INVALID_OPTION('a', 'b', 'c').statusCode, 500)
  t.equal(new FST_ERR_BACKGROUND_INVALID_TASK('a', 'b', 'c').statusCode, 500)
  t.ok(new FST_ERR_BACKGROUND_INVALID_TASK('a', 'b', 'c') instanceof TypeError)
})

t.test('the entry is the plugin, and has everything under its name', async (t) => {
  const entry = require('../lib/index') as Record<string, unknown>

  t.type(entry, 'function')
  t.equal(entry.default, entry)
  t.equal(entry.fastifyBackground, entry)
  t.strictSame(Object.keys(entry).sort(), [
    'BackgroundTask', 'BackgroundTasks', 'RetryAfterError', 'UnrecoverableError', 'default', 'defineTask', 'errorCodes', 'fastifyBackground'
  ])
  t.equal((entry.BackgroundTask as Function).name, 'BackgroundTask')
  t.equal((entry.BackgroundTasks as Function).name, 'BackgroundTasks')
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(entry.fastifyBackground as typeof background)
  t.ok(app.hasPlugin('fastify-background'))
})

t.test('register fails the second time on one application', async (t) => {
  const app = await createApp(t)
  await t.rejects(async () => await app.register(background), { code: 'FST_ERR_DEC_ALREADY_PRESENT' })
})

async function register (options: Record<string, unknown>): Promise<void> {
  const app = Fastify({ pluginTimeout: 0 })
  try {
    await app.register(background, options)
  } finally {
    await app.close()
  }
}
