import { types } from 'node:util'
import { describe, describeInstance, toAccess } from '../describe'
import { FST_ERR_BACKGROUND_NOT_CLONEABLE } from '../errors'

/**
 * Checks that arguments can be sent to a thread. What does not need a copy to be known is not copied for it.
 *
 * @throws {TypeError} `FST_ERR_BACKGROUND_NOT_CLONEABLE` with the path of the value.
 */
export function assertCloneable (task: string, args: readonly unknown[]): void {
  for (const [index, arg] of args.entries()) {
    if (!isPlainlyCloneable(arg) && !isCloneable(arg)) throw notCloneable(task, `args[${index}]`, arg)
  }
}

export function isCloneable (value: unknown): boolean {
  // Only the algorithm itself knows; a getter may throw, too.
  try {
    structuredClone(value)
    return true
  } catch {
    return false
  }
}

/** Says what in a value cannot be cloned, and where it is. */
export function notCloneable (task: string, path: string, value: unknown): Error {
  const culprit = find({ path, value }, new Set()) ?? { path, value }
  return new FST_ERR_BACKGROUND_NOT_CLONEABLE(task, culprit.path, describeCulprit(culprit.value))
}

// Large buffers are the usual argument. An empty one may have been detached.
function isPlainlyCloneable (value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return types.isTypedArray(value) && value.byteLength > 0
  return typeof value !== 'function' && typeof value !== 'symbol'
}

interface Place { readonly path: string, readonly value: unknown }

/** The first innermost value that cannot be cloned; `undefined` where that is one of those visited before. */
function find (place: Place, visited: Set<unknown>): Place | undefined {
  visited.add(place.value)
  const suspects = childrenOf(place).filter(({ value }) => !isCloneable(value))
  for (const suspect of suspects) {
    const culprit = visited.has(suspect.value) ? undefined : find(suspect, visited)
    if (culprit !== undefined) return culprit
  }
  return suspects.length === 0 ? place : undefined
}

function childrenOf ({ path, value }: Place): Place[] {
  // A proxy cannot be cloned itself, whatever is in it.
  if (typeof value !== 'object' || value === null || types.isProxy(value)) return []
  if (value instanceof Map) return [...listed(`${path}.keys()`, value.keys()), ...listed(`${path}.values()`, value.values())]
  if (value instanceof Set) return listed(`${path}.values()`, value)
  return Object.entries(Object.getOwnPropertyDescriptors(value)).filter(([, { enumerable }]) => enumerable).map(([key, { get, value: child }]) => ({
    path: `${path}${toAccess(Array.isArray(value) && /^\d+$/.test(key) ? Number(key) : key)}`,
    value: get === undefined ? child : read(get, value)
  }))
}

function listed (path: string, values: Iterable<unknown>): Place[] {
  return [...values].map((value, index) => ({ path: `${path}[${index}]`, value }))
}

// What throws cannot be cloned either: a function stands for it.
function read (get: () => unknown, owner: object): unknown {
  try {
    return get.call(owner)
  } catch {
    return get
  }
}

function describeCulprit (value: unknown): string {
  if (typeof value !== 'object' || value === null || types.isProxy(value)) return describe(value)
  // A getter of that name may throw.
  try {
    return describeInstance(value)
  } catch {
    return describe(value)
  }
}
