import { types } from 'node:util'

/** Names a value that was not expected, for an error message. Never throws. */
export function describe (value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'function') return types.isGeneratorFunction(value) ? 'a generator function' : 'a function'
  if (typeof value !== 'object') return `${typeof value} ${String(value)}`
  // One that was revoked throws at every question.
  if (types.isProxy(value)) return 'an object'
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list'
  if (types.isPromise(value)) return 'a Promise'
  return 'an object'
}

/** Names an object by its class. */
export function describeInstance (value: object): string {
  const { constructor } = value
  return typeof constructor === 'function' && constructor.name !== '' ? `an instance of ${constructor.name}` : describe(value)
}

/** A step of a path, as one would write it: `.name`, `["a name"]`, `[0]`. */
export function toAccess (key: string | number): string {
  if (typeof key === 'number') return `[${key}]`
  return /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`
}
