import { inspect } from 'node:util'
import t from 'tap'
import { fromPayload, toPayload } from '../../lib/engines/payload'

class Point { x = 1 }

const cycle: Record<string, unknown> = {}
cycle.self = { cycle }
const deep = JSON.parse('['.repeat(1_002) + ']'.repeat(1_002))
const plainOf = (...keys: string[]): object => JSON.parse(`{${keys.join()}}`)

const REFUSED: Array<[value: unknown, path: string, got: string]> = [
  [[() => {}], 'args[0]', 'a function'],
  [['a', { callback () {} }], 'args[1].callback', 'a function'],
  [[Symbol('s')], 'args[0]', 'symbol Symbol(s)'],
  [[1n], 'args[0]', 'bigint 1'],
  [[NaN], 'args[0]', 'number NaN'],
  [[{ a: [1, -Infinity] }], 'args[0].a[1]', 'number -Infinity'],
  [[undefined, 1], 'args[0]', 'undefined'],
  [[[undefined]], 'args[0][0]', 'undefined'],
  [[new Date()], 'args[0]', 'an instance of Date'],
  [[new Map()], 'args[0]', 'an instance of Map'],
  [[new Set([1])], 'args[0]', 'an instance of Set'],
  [[/a/], 'args[0]', 'an instance of RegExp'],
  [[Buffer.from('a')], 'args[0]', 'an instance of Buffer'],
  [[new Point()], 'args[0]', 'an instance of Point'],
  [[new Error('e')], 'args[0]', 'an instance of Error'],
  [[Promise.resolve()], 'args[0]', 'an instance of Promise'],
  // eslint-disable-next-line no-new-wrappers
  [[new String('a')], 'args[0]', 'an instance of String'],
  [[new (class {})()], 'args[0]', 'an object'],
  [[new (class List extends Array {})()], 'args[0]', 'an instance of List'],
  [[cycle], 'args[0].self.cycle', 'a cycle'],
  // eslint-disable-next-line no-sparse-arrays
  [[[1, , 2]], 'args[0]', 'a list with holes or properties'],
  [[Object.assign([1], { extra: 1 })], 'args[0]', 'a list with holes or properties'],
  [[{ [Symbol.iterator]: 1 }], 'args[0]', 'a property named by Symbol(Symbol.iterator)'],
  [[{ 'a b': { 1: 1n } }], 'args[0]["a b"]["1"]', 'bigint 1'],
  [[plainOf('"__proto__": {"admin": true}')], 'args[0].__proto__', 'a key that poisons prototypes'],
  [[plainOf('"constructor": {"prototype": {}}')], 'args[0].constructor', 'a key that poisons prototypes'],
  [[deep], 'args[0][0][0][0][0][…', 'more than 1000 levels']
]

for (const [args, path, got] of REFUSED) {
  t.test(`D3: ${inspect(args, { depth: 2, breakLength: Infinity }).slice(0, 60)} is refused by its path, on the way in and out`, async (t) => {
    const expected = {
      name: 'FastifyError',
      code: 'FST_ERR_BACKGROUND_ARGS_NOT_SERIALIZABLE',
      message: `Background task "mail": ${path} has to be JSON, got ${got}`
    }
    t.throws(() => toPayload('mail', args as unknown[], 1e9), expected)
    t.throws(() => fromPayload('mail', args), expected)
  })
}

const shared = { twice: true }
const ACCEPTED: Array<[args: unknown[], stored: unknown[]]> = [
  [[], []],
  [['a', 1, -1.5, 0, true, false, null], ['a', 1, -1.5, 0, true, false, null]],
  [[{ a: [{ b: null }] }], [{ a: [{ b: null }] }]],
  [['a', undefined, undefined], ['a']],
  [[undefined], []],
  [[{ a: undefined, b: 1 }], [{ b: 1 }]],
  [[shared, [shared]], [shared, [shared]]],
  [[{ constructor: 'a string', prototype: 1 }], [{ constructor: 'a string', prototype: 1 }]],
  [[Object.assign(Object.create(null), { a: 1 })], [{ a: 1 }]],
  [[Object.assign(Object.create(Object.create(null)), { id: '42' })], [{ id: '42' }]],
  [['\ud800', '\u2028'], ['\ud800', '\u2028']],
  [[JSON.parse('['.repeat(999) + ']'.repeat(999))], [JSON.parse('['.repeat(999) + ']'.repeat(999))]]
]

for (const [args, stored] of ACCEPTED) {
  // A name of plain characters.
  const name = inspect(args, { depth: 2, breakLength: Infinity }).slice(0, 60).replace(/[^ -~]/g, '?')
  t.test(`D3: ${name} is as before after JSON`, async (t) => {
    const payload = toPayload('mail', args, 1e9)
    t.strictSame(JSON.parse(JSON.stringify(payload)), stored)
    t.strictSame(fromPayload('mail', JSON.parse(JSON.stringify(payload))), stored)
  })
}

t.test('D3: arguments are copied: what the caller changes later is not stored', async (t) => {
  const given = { list: [1] }
  const [payload] = toPayload('mail', [given], 1e9)
  given.list.push(2)
  t.strictSame(payload, { list: [1] })
})

t.test('D3: what refuses an argument is a TypeError', async (t) => {
  try {
    toPayload('mail', [1n], 1e9)
    t.fail('accepted')
  } catch (error) {
    t.ok(error instanceof TypeError)
  }
})

t.test('D3: a getter is read once', async (t) => {
  let reads = 0
  const [payload] = toPayload('mail', [{ get a () { return ++reads } }], 1e9)
  t.strictSame(JSON.stringify(payload), '{"a":1}')
  t.equal(reads, 1)
})

t.test('D3: arguments that are not a list are refused on the way out', async (t) => {
  for (const value of [null, undefined, 'text', { length: 1 }]) {
    t.throws(() => fromPayload('mail', value), { code: 'FST_ERR_BACKGROUND_ARGS_NOT_SERIALIZABLE', message: /: args has to be JSON, got / })
  }
})

t.test('arguments over the limit are refused, in bytes of JSON, not characters', async (t) => {
  t.strictSame(toPayload('mail', ['é'], 6), ['é'], '["é"] is 6 bytes')
  t.throws(() => toPayload('mail', ['é'], 5), {
    code: 'FST_ERR_BACKGROUND_ARGS_TOO_LARGE',
    message: 'Background task "mail": its arguments are 6 bytes of JSON, maxArgsSize is 5'
  })
})
