import { inspect, types } from 'node:util'

const MAX_DEPTH = 3
const MAX_ITEMS = 20
const MAX_TEXT = 1_000
const MAX_PROPERTIES = 1_000

/** The arguments of a task as text. Neither getters nor what an object says of itself is called. */
export function showArgs (args: readonly unknown[]): string {
  try {
    return inspect(sample(args, MAX_DEPTH, { left: MAX_PROPERTIES }), {
      customInspect: false, depth: MAX_DEPTH, maxArrayLength: MAX_ITEMS, maxStringLength: MAX_TEXT, breakLength: 80
    })
  } catch {
    // A class may have a name that throws.
    return 'arguments that cannot be read'
  }
}

/** As much of lists and plain objects as will be read: `inspect` would go through all properties, however many. */
function sample (value: unknown, depth: number, budget: { left: number }): unknown {
  // A proxy has its say in every question but this one.
  if (types.isProxy(value) || !(Array.isArray(value) || isPlain(value))) return value
  const copy = Array.isArray(value) ? new Array<unknown>(value.length) : Object.create(Object.getPrototypeOf(value))
  if (depth < 0) return copy
  for (const key of Array.isArray(value) ? Array(MAX_ITEMS).keys() : Object.keys(value)) {
    const property = Object.getOwnPropertyDescriptor(value, key)
    if (property === undefined) continue
    if (budget.left-- <= 0) break
    if ('value' in property) property.value = sample(property.value, depth - 1, budget)
    Object.defineProperty(copy, key, property)
  }
  return copy
}

function isPlain (value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false
  const prototype = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype
}
