import t from 'tap'
import { toStoredError } from '../../lib/engines/stored-error'

t.test('what can be stored of an error is stored', async (t) => {
  const error = Object.assign(new RangeError('broken'), { code: 'EBROKEN' })
  t.strictSame(toStoredError(error), { name: 'RangeError', message: 'broken', code: 'EBROKEN', stack: error.stack })
  t.strictSame(toStoredError({ message: 'like an error', code: 5 }), { name: 'Error', message: 'like an error', code: undefined, stack: undefined })
})

t.test('what it was caused by is stored with its stack', async (t) => {
  const cause = Object.assign(new Error('connect'), { code: 'ECONNREFUSED', cause: 'no route' })
  const error = new TypeError('fetch failed', { cause })
  t.equal(toStoredError(error).stack, `${error.stack}\ncaused by: ${cause.stack}\n  code: ECONNREFUSED\ncaused by: no route`)
})

t.test('what is no error is stored as one', async (t) => {
  for (const value of [undefined, null, 0, 'text', Symbol('symbol'), {}, []]) {
    t.strictSame(toStoredError(value, 'AbortError'), { name: 'AbortError', message: String(value), code: undefined, stack: undefined })
  }
})

t.test('what cannot be read is stored as an error', async (t) => {
  const trap = (): never => { throw new Error('unreadable') }
  for (const value of [{ get message () { return trap() } }, Object.create(null), new Proxy({}, { get: trap })]) {
    t.strictSame(toStoredError(value), { name: 'Error', message: 'an error that cannot be read', code: undefined, stack: undefined })
  }
  t.strictSame(
    toStoredError({ message: 'what can be', get name () { return trap() } }),
    { name: 'Error', message: 'what can be', code: undefined, stack: undefined }
  )
})

t.test('what PostgreSQL has not in texts is replaced', async (t) => {
  t.match(toStoredError(new Error('\0 \ud800 \udc00 \ud83d\ude00')), { message: '\uFFFD \uFFFD \uFFFD \ud83d\ude00' })
})
