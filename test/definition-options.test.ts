import t, { type Test } from 'tap'
import Fastify from 'fastify'
import background from '../lib/index'
import { createApp, memoryLogger } from './helpers/app'
import { turn } from './helpers/latch'
import { AT_ONCE, MINUTE } from './helpers/policies'

const { RetryAfterError, defineTask } = background

const MILLISECONDS = 'an integer of milliseconds from 0 to 2147483647'
const INTEGERS: Array<[value: unknown, got: string]> = [
  [null, 'null'], [-1, 'number -1'], [1.5, 'number 1.5'], [NaN, 'number NaN'], [Infinity, 'number Infinity'], ['1', '"1"'],
  [true, 'boolean true'], [1n, 'bigint 1'], [{}, 'an object'], [[1], 'a list'], [() => 1, 'a function']
]
const MILLISECONDS_WRONG: typeof INTEGERS = [...INTEGERS, [2_147_483_648, 'number 2147483648']]

const wrong: Array<[option: string, expected: string, cases: typeof INTEGERS]> = [
  ['when', "'always', 'success', 'error' or a synchronous function", [
    [null, 'null'], ['', '""'], ['never', '"never"'], [true, 'boolean true'], [['error'], 'a list'], [async () => true, 'a function'],
    [function * () {}, 'a generator function']
  ]],
  ['timeout', MILLISECONDS, MILLISECONDS_WRONG],
  ['retries', 'an integer from 0 to 1000000', [...INTEGERS, [1_000_001, 'number 1000001']]],
  ['backoff', 'an object', [
    [null, 'null'], [1000, 'number 1000'], ['exponential', '"exponential"'], [true, 'boolean true'], [[], 'an empty list'],
    [[1, 2], 'a list'], [() => 1000, 'a function'], [Promise.resolve({}), 'a Promise']
  ]],
  ['backoff.delay', MILLISECONDS, MILLISECONDS_WRONG],
  ['backoff.max', MILLISECONDS, MILLISECONDS_WRONG],
  ['backoff.factor', 'a number from 1 to 1000', [
    [null, 'null'], [0, 'number 0'], [0.999, 'number 0.999'], [-2, 'number -2'], [1000.5, 'number 1000.5'], [NaN, 'number NaN'],
    [Infinity, 'number Infinity'], ['2', '"2"'], [2n, 'bigint 2']
  ]],
  ['backoff.jitter', 'true or false', [[null, 'null'], [0, 'number 0'], [1, 'number 1'], ['full', '"full"'], [{}, 'an object']]]
]

const right: Record<string, unknown[]> = {
  when: ['always', 'success', 'error', () => true],
  timeout: [0, 1, 2_147_483_647],
  retries: [0, 1, 1_000_000],
  backoff: [{}, Object.freeze({})],
  'backoff.delay': [0, 1, 2_147_483_647],
  'backoff.max': [0, 1, 2_147_483_647],
  'backoff.factor': [1, 1.5, 2, 1000],
  'backoff.jitter': [true, false]
}

for (const [option, expected, cases] of wrong) {
  t.test(`a wrong ${option} is told, of a definition and of the plugin`, async (t) => {
    for (const [value, got] of cases) {
      const message = `Option "${option}": expected ${expected}, got ${got}`
      assertInvalid(t, errorOf(() => defineTask(() => {}, optionsOf(option, value))), message)
      assertInvalid(t, await register(optionsOf(option, value)), message)
    }
  })
}

for (const [option, values] of Object.entries(right)) {
  t.test(`${option} takes the whole of its range, and undefined, of a definition and of the plugin`, async (t) => {
    for (const value of [...values, undefined]) {
      t.doesNotThrow(() => defineTask(() => {}, optionsOf(option, value)))
      t.equal(await register(optionsOf(option, value)), undefined)
    }
  })
}

t.test('an unknown option is told by its path, even where it is undefined', async (t) => {
  for (const name of ['retry', 'Timeout', 'delay', 'backoff.delay', 'toString', '']) {
    const message = `Option "${name}": expected one of 'name', 'when', 'timeout', 'retries', 'backoff', 'durable', got an unknown name`
    assertInvalid(t, errorOf(() => defineTask(() => {}, { [name]: undefined })), message)
  }
  for (const name of ['retries', 'minDelay', 'constructor', '']) {
    const message = `Option "backoff.${name}": expected one of 'delay', 'factor', 'max', 'jitter', got an unknown name`
    assertInvalid(t, errorOf(() => defineTask(() => {}, { backoff: { [name]: 1 } })), message)
    assertInvalid(t, await register({ backoff: { [name]: 1 } }), message)
  }
  assertInvalid(t, errorOf(() => defineTask(() => {}, JSON.parse('{"__proto__": 1}'))), /^Option "__proto__": /)
})

t.test('options that are no object are told, and none are none', async (t) => {
  for (const [options, got] of [[null, 'null'], [[], 'an empty list'], ['name', '"name"'], [() => {}, 'a function']] as const) {
    assertInvalid(t, errorOf(() => defineTask(() => {}, options as never)), `Option "options": expected an object, got ${got}`)
  }
  t.equal(defineTask(function plain () {}).name, 'plain')
  t.equal(defineTask(function plain () {}, undefined).name, 'plain')
})

t.test('options may be inherited, and are checked all the same', async (t) => {
  const named = defineTask(() => {}, Object.create({ name: 'inherited', retries: 2 }))

  t.match(named.options, { name: 'inherited', retries: 2 })
  assertInvalid(t, errorOf(() => defineTask(() => {}, Object.create({ retries: -1 }))), /^Option "retries": /)
  assertInvalid(t, errorOf(() => defineTask(() => {}, { backoff: Object.create({ delay: -1 }) })), /^Option "backoff.delay": /)
  assertInvalid(t, await register(Object.create({ retries: -1 })), /^Option "retries": /)
  t.equal(await waitOf(t, Object.create({ retries: 1, backoff: Object.create({ delay: MINUTE, jitter: false }) })), MINUTE)
})

t.test('durable is true or false, and the plugin has none', async (t) => {
  for (const [durable, got] of [[null, 'null'], [1, 'number 1'], ['yes', '"yes"'], [{}, 'an object']] as const) {
    assertInvalid(t, errorOf(() => defineTask(() => {}, { durable: durable as never })), `Option "durable": expected true or false, got ${got}`)
  }
  for (const durable of [true, false, undefined]) t.equal(defineTask(() => {}, { durable }).options.durable, durable)
  assertInvalid(t, await register({ durable: true }), /^Option "durable": expected one of 'when', .* got an unknown name$/)
})

t.test('a name is a string that is not empty, and the plugin has none', async (t) => {
  for (const [name, got] of [['', '""'], [null, 'null'], [1, 'number 1'], [Symbol('a'), 'symbol Symbol(a)'], [{}, 'an object']] as const) {
    assertInvalid(t, errorOf(() => defineTask(() => {}, { name: name as never })),
      `Option "name": expected a string that is not empty, got ${got}`)
  }
  assertInvalid(t, await register({ name: 'tasks' }), /^Option "name": expected one of 'when', .* got an unknown name$/)
})

// What is left out is the plugin's, and what that leaves out is the default, field by field.
for (const [what, plugin, definition, attempt, expected] of [
  ['the default', {}, { backoff: { jitter: false } }, 1, 1000],
  ['the default, doubled', {}, { backoff: { jitter: false } }, 2, 2000],
  ['the default, at most', { backoff: { delay: MINUTE * 2 } }, { backoff: { jitter: false } }, 1, MINUTE],
  ['the plugin\'s', { backoff: { delay: 7000, jitter: false } }, undefined, 1, 7000],
  ['the plugin\'s, of a definition without a backoff', { backoff: { delay: 7000, jitter: false } }, {}, 1, 7000],
  ['of the definition\'s delay', { backoff: { delay: 7000, jitter: false } }, { backoff: { delay: 5000 } }, 1, 5000],
  ['of the definition\'s delay and the plugin\'s factor', { backoff: { delay: 7000, factor: 3, jitter: false } }, { backoff: { delay: 5000 } }, 2, 15_000],
  ['of the plugin\'s delay and the definition\'s factor', { backoff: { delay: 7000, factor: 3, jitter: false } }, { backoff: { factor: 5 } }, 2, 35_000],
  ['of the plugin\'s delay and the definition\'s max', { backoff: { delay: 7000, jitter: false } }, { backoff: { max: 4000 } }, 1, 4000],
  ['of the definition\'s delay and the plugin\'s max', { backoff: { max: 3000, jitter: false } }, { backoff: { delay: 4000 } }, 1, 3000],
  ['0 as 0', { backoff: { delay: 7000 } }, { backoff: { delay: 0 } }, 1, 0]
] as const) {
  t.test(`the wait after a failed attempt is ${what}`, async (t) => {
    t.equal(await waitOf(t, { retries: 2, ...plugin }, definition, attempt), expected)
  })
}

t.test('retries and timeout are the definition\'s, else the plugin\'s, and 0 is one', async (t) => {
  const app = await createApp(t, { retries: 2, timeout: 5, backoff: AT_ONCE })
  const attemptsOf = async (options?: background.TaskOptions): Promise<number> => {
    const fail = (): void => { throw new Error('broken') }
    return (await app.background.addTask(options === undefined ? fail : defineTask(fail, options)).finished()).attempt
  }
  t.strictSame([await attemptsOf(), await attemptsOf({}), await attemptsOf({ retries: 0 }), await attemptsOf({ retries: 3 })], [3, 3, 1, 4])

  const untimed = defineTask(() => new Promise<string>((resolve) => setTimeout(resolve, 30, 'in its time')), { timeout: 0 })
  t.equal((await app.background.addTask(untimed).finished()).result, 'in its time')
  t.match(await app.background.addTask(defineTask(() => new Promise(() => {}), { retries: 0 })).finished(), {
    state: 'failed', error: { code: 'FST_ERR_BACKGROUND_TASK_TIMEOUT' }
  })
})

/** How long a run would wait after an attempt that failed, by the line that says it. The run is cancelled then. */
async function waitOf (
  t: Test, plugin: background.BackgroundOptions, options?: background.TaskOptions, attempt = 1
): Promise<number> {
  const { logger, lines } = memoryLogger('warn')
  const app = await createApp(t, plugin, { logger })
  function fail (this: background.TaskContext): never {
    throw this.attempt < attempt ? new RetryAfterError(0) : new Error('broken')
  }
  const run = app.background.addTask(options === undefined ? fail : defineTask(fail, options))
  while (lines.length < attempt) await turn()
  run.cancel()
  return Number(/ in (\d+) ms$/.exec(lines[attempt - 1].msg)?.[1])
}

function optionsOf (path: string, value: unknown): Record<string, unknown> {
  const [option, field] = path.split('.')
  return { [option]: field === undefined ? value : { [field]: value } }
}

/** What registering the plugin with such options throws, if it throws. */
async function register (options: object): Promise<unknown> {
  const app = Fastify()
  try {
    await app.register(background, options)
  } catch (error) {
    return error
  } finally {
    await app.close()
  }
}

function assertInvalid (t: Test, error: unknown, message: string | RegExp): void {
  t.match(error, { code: 'FST_ERR_BACKGROUND_INVALID_OPTION', statusCode: 500 })
  const { message: got } = error as Error
  if (typeof message === 'string') t.equal(got, message)
  else t.match(got, message)
}

function errorOf (fn: () => unknown): unknown {
  try {
    fn()
  } catch (error) {
    return error
  }
}
