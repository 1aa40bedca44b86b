import type { StoredError } from './engine'

/**
 * What of an error can be stored. Never throws.
 *
 * @param name For what is not an error.
 */
export function toStoredError (value: unknown, name = 'Error'): StoredError {
  try {
    const { name: own, message, code, stack } = Object(value) as Record<string, unknown>
    if (typeof message !== 'string') return { name, message: clean(value) }
    return { name: text(own) ?? name, message: clean(message), code: text(code), stack: text(stack) }
  } catch {
    // A getter, a proxy, an object without a prototype.
    return { name, message: 'an error that cannot be read' }
  }
}

function text (value: unknown): string | undefined {
  return typeof value === 'string' ? clean(value) : undefined
}

/**
 * PostgreSQL has neither U+0000 nor half a surrogate pair in texts; an error that cannot be written would keep the task
 * from ever ending.
 */
function clean (value: unknown): string {
  return String(value).replaceAll(/\0|\p{Surrogate}/gu, '\uFFFD')
}
