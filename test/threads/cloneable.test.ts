import t from 'tap'
import { assertCloneable } from '../../lib/threads/cloneable'
import { revoked } from '../helpers/hostile'

const fn = (): void => {}
class Own { callback = fn }

t.test('what the structured clone algorithm takes is taken', async (t) => {
  const cyclic: Record<string, unknown> = {}
  cyclic.self = cyclic
  assertCloneable('task', [
    undefined, null, true, 1n, Number.NaN, 'text', new Array(2), cyclic, new Map([[{}, new Set([1])]]), new Date(0), /a/, new Error('a'),
    Buffer.from('a'), new Float64Array(1), new Uint8Array(), new ArrayBuffer(1), new SharedArrayBuffer(1), new Blob([]), Object.create(null)
  ])
})

t.test('what it does not take is refused, by its path', async (t) => {
  const detached = new Uint8Array(1)
  structuredClone(detached.buffer, { transfer: [detached.buffer] })
  for (const [value, path, got] of [
    [fn, '', 'a function'],
    [Symbol('a'), '', 'symbol Symbol(a)'],
    [{ a: [1, { 'b c': fn }] }, '.a[1]["b c"]', 'a function'],
    [Object.assign([1], { extra: fn }), '.extra', 'a function'],
    [new Map([['a', fn]]), '.values()[0]', 'a function'],
    [new Map([[{ fn }, 1]]), '.keys()[0].fn', 'a function'],
    [new Set([1, fn]), '.values()[1]', 'a function'],
    [{ weak: new WeakMap() }, '.weak', 'an instance of WeakMap'],
    [{ promise: Promise.resolve() }, '.promise', 'an instance of Promise'],
    [new Own(), '.callback', 'a function'],
    [new Proxy({ fn }, {}), '', 'an object'],
    [{ a: [revoked()] }, '.a[0]', 'an object'],
    [{ get a () { return fn } }, '.a', 'a function'],
    [{ get a () { throw new Error('hostile') } }, '.a', 'a function'],
    [{ port: new MessageChannel().port1 }, '.port', 'an instance of MessagePort'],
    [detached, '', 'an instance of Uint8Array'],
    [Object.defineProperty(new WeakMap(), 'constructor', { get () { throw new Error('hostile') } }), '', 'an object']
  ] as Array<[unknown, string, string]>) {
    t.throws(() => assertCloneable('task', ['fine', value]), { code: 'FST_ERR_BACKGROUND_NOT_CLONEABLE', message: `Background task "task": args[1]${path} cannot be sent between threads, got ${got}` })
  }
})

t.test('a cycle is no end', async (t) => {
  const cyclic: Record<string, unknown> = {}
  cyclic.self = { back: cyclic }
  cyclic.fn = fn
  const weak = Object.assign(new WeakMap(), { self: {} })
  weak.self = { back: weak }
  t.throws(() => assertCloneable('task', [weak]), { message: /args\[0\] cannot .* an instance of WeakMap/ })
  t.throws(() => assertCloneable('task', [cyclic]), { message: /args\[0\](\.self\.back)*\.fn cannot/ })
})
