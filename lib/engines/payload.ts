import { describe } from '../describe'
import { FST_ERR_BACKGROUND_ARGS_NOT_SERIALIZABLE, FST_ERR_BACKGROUND_ARGS_TOO_LARGE } from '../errors'

// Nobody means more, and JSON.stringify does not get much further.
const MAX_DEPTH = 1_000

/**
 * Copies the arguments of a durable task as JSON will have them (D3). What JSON would lose or change is refused; a
 * property that is `undefined` is left out, as are trailing arguments.
 *
 * @param maxSize In bytes of JSON.
 * @throws `FST_ERR_BACKGROUND_ARGS_NOT_SERIALIZABLE` with the path of the value, `FST_ERR_BACKGROUND_ARGS_TOO_LARGE`.
 */
export function toPayload (task: string, args: readonly unknown[], maxSize: number): unknown[] {
  const copy = copyArgs(task, args)
  const size = Buffer.byteLength(JSON.stringify(copy))
  if (size > maxSize) throw new FST_ERR_BACKGROUND_ARGS_TOO_LARGE(task, size, maxSize)
  return copy
}

/**
 * Copies arguments that come from a store, by the same rules: somebody else may have written them.
 *
 * @throws as `toPayload`, and where they are not a list.
 */
export function fromPayload (task: string, args: unknown): unknown[] {
  if (!Array.isArray(args)) throw refused(task, 'args', describe(args))
  return copyArgs(task, args)
}

function copyArgs (task: string, args: readonly unknown[]): unknown[] {
  let length = args.length
  while (length > 0 && args[length - 1] === undefined) length--
  return copyList(task, 'args', args.slice(0, length), [])
}

function copy (task: string, path: string, value: unknown, parents: readonly object[]): unknown {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value
  if (typeof value === 'number') {
    if (Number.isFinite(value)) return value
    throw refused(task, path, describe(value))
  }
  if (typeof value !== 'object') throw refused(task, path, describe(value))
  if (parents.includes(value)) throw refused(task, path, 'a cycle')
  if (parents.length === MAX_DEPTH) throw refused(task, `${path.slice(0, 20)}…`, `more than ${MAX_DEPTH} levels`)
  return Array.isArray(value)
    ? copyList(task, path, value, [...parents, value])
    : copyObject(task, path, value, [...parents, value])
}

function copyList (task: string, path: string, list: readonly unknown[], parents: readonly object[]): unknown[] {
  if (Object.getPrototypeOf(list) !== Array.prototype) throw refused(task, path, describeInstance(list))
  // More keys than items are what JSON would drop, fewer are holes.
  if (Reflect.ownKeys(list).length !== list.length + 1) throw refused(task, path, 'a list with holes or properties')
  return list.map((item, index) => copy(task, `${path}[${index}]`, item, parents))
}

function copyObject (task: string, path: string, object: object, parents: readonly object[]): object {
  if (!isPlain(object)) throw refused(task, path, describeInstance(object))
  const result: Record<string, unknown> = {}
  for (const key of Reflect.ownKeys(object)) {
    if (typeof key === 'symbol') throw refused(task, path, `a property named by ${String(key)}`)
    const at = pathOf(path, key)
    const value = (object as Record<string, unknown>)[key]
    if (key === '__proto__' || (key === 'constructor' && hasPrototype(value))) throw refused(task, at, 'a key that poisons prototypes')
    if (value !== undefined) result[key] = copy(task, at, value, parents)
  }
  return result
}

/** As Fastify's `request.params` and `request.query` are, too: their prototype has none. */
function isPlain (object: object): boolean {
  const prototype = Object.getPrototypeOf(object)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

function hasPrototype (value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, 'prototype')
}

function pathOf (path: string, key: string): string {
  return /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`
}

function describeInstance (value: object): string {
  const { constructor } = value
  return typeof constructor === 'function' && constructor.name !== '' ? `an instance of ${constructor.name}` : describe(value)
}

function refused (task: string, path: string, got: string): Error {
  return new FST_ERR_BACKGROUND_ARGS_NOT_SERIALIZABLE(task, path, got)
}
