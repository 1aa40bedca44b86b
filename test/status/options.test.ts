import t from 'tap'
import Fastify from 'fastify'
import background from '../../lib/index'
import status from '../../lib/status/status'

const PATH = "'' or a path such as '/tasks', without parameters and without what a URL has to escape"
const HOOKS = 'a function or a list of functions'

const wrong: Array<[option: string, expected: string, values: Array<[value: unknown, got: string]>]> = [
  ['prefix', PATH, [[null, 'null'], ['tasks', '"tasks"'], ['/tasks/', '"/tasks/"'], ['/', '"/"'], ['/a?b', '"/a?b"'], ['/:a/b', '"/:a/b"'], ['/a*', '"/a*"'], ['//a', '"//a"'], ['/a//b', '"/a//b"'], ['/задачи', '"/задачи"'],
    ['/a%20b', '"/a%20b"'], ['/a b', '"/a b"'], ['/\\a', '"/\\\\a"'], ['/a/..', '"/a/.."'], ['/./a', '"/./a"'], [1, 'number 1']]],
  ['authorize', 'a function', [[true, 'boolean true'], [null, 'null']]],
  ['exposeErrors', 'true or false', [['yes', '"yes"']]],
  ['exposeResult', 'true or false', [[1, 'number 1']]],
  ['redirect', 'true or false', [[0, 'number 0']]],
  ['retryAfter', 'an integer of seconds from 1 to 86400', [[0, 'number 0'], [1.5, 'number 1.5'], [86_401, 'number 86401']]],
  ['maxWait', 'an integer of seconds from 0 to 3600', [[-1, 'number -1'], [3_601, 'number 3601'], ['1', '"1"']]],
  ['maxListeners', 'an integer of at least 1', [[0, 'number 0'], [Infinity, 'number Infinity']]],
  ['interval', 'an integer of milliseconds from 0 to 60000', [[-1, 'number -1'], [60_001, 'number 60001']]],
  ['heartbeat', 'an integer of milliseconds from 1000 to 600000', [[999, 'number 999'], [600_001, 'number 600001']]],
  ['onRequest', HOOKS, [[null, 'null'], [true, 'boolean true'], [[() => {}, 1], 'a list']]],
  ['preHandler', HOOKS, [['auth', '"auth"']]]
]

for (const [option, expected, values] of wrong) {
  for (const [value, got] of values) {
    t.test(`status: register fails where ${option} is ${got}`, async (t) => {
      await t.rejects(register({ [option]: value }), {
        code: 'FST_ERR_BACKGROUND_INVALID_OPTION', message: `Option "${option}": expected ${expected}, got ${got}`
      })
    })
  }
}

t.test('status: register fails with an unknown option', async (t) => {
  await t.rejects(register({ exposeError: true }), { message: /^Option "exposeError": expected one of 'prefix', .*, got an unknown name$/ })
})

t.test('status: each option takes the whole of its range, and undefined', async (t) => {
  await t.resolves(register({}))
  await t.resolves(register({
    prefix: '', retryAfter: 1, maxWait: 0, maxListeners: 1, interval: 0, heartbeat: 1_000, onRequest: [], logLevel: 'warn', logSerializers: {}
  }))
  await t.resolves(register({
    prefix: '/a/b.~1/..c', retryAfter: 86_400, maxWait: 3_600, interval: 60_000, heartbeat: 600_000, preHandler: () => {}, redirect: undefined
  }))
})

async function register (options: Record<string, unknown>): Promise<void> {
  const app = Fastify()
  try {
    await app.register(background)
    await app.register(status, options)
  } finally {
    await app.close()
  }
}
