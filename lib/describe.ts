import { types } from 'node:util'

/** Names a value that was not expected, for an error message. Never throws. */
export function describe (value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'function') return types.isGeneratorFunction(value) ? 'a generator function' : 'a function'
  if (typeof value !== 'object') return `${typeof value} ${String(value)}`
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list'
  if (types.isPromise(value)) return 'a Promise'
  return 'an object'
}
