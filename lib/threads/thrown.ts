import { types } from 'node:util'
import { describe } from '../describe'
import * as errors from '../errors'
import { UNREADABLE } from '../read-error'
import { isUnrecoverable, retryAfter, RetryAfterError, UnrecoverableError } from '../retry-errors'
import { isCloneable } from './cloneable'

/**
 * What was thrown, as it can be sent to another thread. A clone of an error would have neither its class, which decides
 * on retries, nor its code.
 */
export type Thrown = { readonly value: unknown } | {
  readonly name: string
  readonly message: string
  readonly stack: string | undefined
  readonly cause: Thrown | undefined
  /** Of an AggregateError. */
  readonly errors: readonly Thrown[] | undefined
  /** Its other properties that can be sent. */
  readonly own: Record<string, unknown>
  readonly unrecoverable: boolean
  readonly retryAfter: number | undefined
}

// Nobody nests causes deeper; one may be its own.
const MAX_CAUSES = 10

// Not plain objects: an error may go by the name of what these have from their prototype.
const OURS = new Map<unknown, new () => Error>(Object.entries(errors as unknown as Record<string, new () => Error>))
const CLASSES = new Map([EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError].map((each) => [each.name, each]))

/** Never throws. */
export function toThrown (value: unknown, depth = 0): Thrown {
  try {
    if (!types.isNativeError(value) && !(value instanceof Error)) return isCloneable(value) ? { value } : toThrown(new Error(describe(value)))
    const { name, message, stack, cause } = value
    return {
      name: String(name),
      message: String(message),
      stack: typeof stack === 'string' ? stack : undefined,
      cause: cause === undefined || depth === MAX_CAUSES ? undefined : toThrown(cause, depth + 1),
      // Of the outermost alone: it may be its own.
      errors: value instanceof AggregateError && depth === 0 ? value.errors.map((each) => toThrown(each, 1)) : undefined,
      own: Object.fromEntries(Object.entries(value).filter(([key, each]) => !NAMED.includes(key) && isCloneable(each))),
      unrecoverable: isUnrecoverable(value),
      retryAfter: retryAfter(value)
    }
  } catch {
    // A getter, a proxy.
    return toThrown(new Error(UNREADABLE))
  }
}

const NAMED: readonly string[] = ['name', 'message', 'stack', 'cause', 'delay']

export function fromThrown (thrown: Thrown): unknown {
  if ('value' in thrown) return thrown.value
  const { name, stack, cause, own } = thrown
  const error = Object.assign(newError(thrown), own)
  if (cause !== undefined) hide(error, 'cause', fromThrown(cause))
  if (name !== error.name) hide(error, 'name', name)
  hide(error, 'stack', stack)
  return error
}

function newError ({ name, message, errors: inner, own, unrecoverable, retryAfter }: Exclude<Thrown, { value: unknown }>): Error {
  // One of this package's is one here, too.
  const Ours = OURS.get(own.code)
  if (Ours !== undefined) return Object.assign(new Ours(), { message })
  if (unrecoverable) return new UnrecoverableError(message)
  if (retryAfter !== undefined) return new RetryAfterError(retryAfter, message)
  if (inner !== undefined) return new AggregateError(inner.map(fromThrown), message)
  return new (CLASSES.get(name) ?? Error)(message)
}

/** Not enumerable, as what an error has by itself. */
function hide (error: Error, key: string, value: unknown): void {
  Object.defineProperty(error, key, { value, writable: true, configurable: true })
}
