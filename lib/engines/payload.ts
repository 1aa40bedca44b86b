import { describe, describeInstance, toAccess } from '../describe'
import { FST_ERR_BACKGROUND_ARGS_NOT_SERIALIZABLE, FST_ERR_BACKGROUND_ARGS_TOO_LARGE } from '../errors'

// Nobody means more, and JSON.stringify does not get much further.
const MAX_DEPTH = 1_000
// Of a path with as many steps.
const SHOWN_OF_DEEP = 20

/** On the way through the arguments of a task. A path is made only of one that is refused. */
interface Walk {
  readonly task: string
  /** How what is looked at was reached: by properties and by places in lists. */
  readonly keys: Array<string | number>
  /** What it is in, all but the list of arguments. */
  readonly parents: object[]
}

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
  if (!Array.isArray(args)) throw refused(begin(task), describe(args))
  return copyArgs(task, args)
}

function begin (task: string): Walk {
  return { task, keys: [], parents: [] }
}

function copyArgs (task: string, args: readonly unknown[]): unknown[] {
  let length = args.length
  while (length > 0 && args[length - 1] === undefined) length--
  return copyList(begin(task), args.slice(0, length))
}

function copy (walk: Walk, value: unknown): unknown {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value
  if (typeof value === 'number') {
    if (Number.isFinite(value)) return value
    throw refused(walk, describe(value))
  }
  if (typeof value !== 'object') throw refused(walk, describe(value))
  const { parents } = walk
  if (parents.includes(value)) throw refused(walk, 'a cycle')
  if (parents.length === MAX_DEPTH) throw refused(walk, `more than ${MAX_DEPTH} levels`, SHOWN_OF_DEEP)
  parents.push(value)
  const result = Array.isArray(value) ? copyList(walk, value) : copyObject(walk, value)
  parents.pop()
  return result
}

function copyList (walk: Walk, list: readonly unknown[]): unknown[] {
  if (Object.getPrototypeOf(list) !== Array.prototype) throw refused(walk, describeInstance(list))
  // More keys than items are what JSON would drop, fewer are holes.
  if (Reflect.ownKeys(list).length !== list.length + 1) throw refused(walk, 'a list with holes or properties')
  return list.map((item, index) => {
    walk.keys.push(index)
    const result = copy(walk, item)
    walk.keys.pop()
    return result
  })
}

function copyObject (walk: Walk, object: object): object {
  if (!isPlain(object)) throw refused(walk, describeInstance(object))
  const result: Record<string, unknown> = {}
  for (const key of Reflect.ownKeys(object)) {
    if (typeof key === 'symbol') throw refused(walk, `a property named by ${String(key)}`)
    const value = (object as Record<string, unknown>)[key]
    walk.keys.push(key)
    if (key === '__proto__' || (key === 'constructor' && hasPrototype(value))) throw refused(walk, 'a key that poisons prototypes')
    if (value !== undefined) result[key] = copy(walk, value)
    walk.keys.pop()
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

/** @param shown How much of the path is shown, in characters. */
function refused ({ task, keys }: Walk, got: string, shown = Infinity): Error {
  const path = `args${keys.map(toAccess).join('')}`
  return new FST_ERR_BACKGROUND_ARGS_NOT_SERIALIZABLE(task, path.length > shown ? `${path.slice(0, shown)}…` : path, got)
}
