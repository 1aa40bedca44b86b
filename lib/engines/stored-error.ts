import { readError, withCauses } from '../read-error'
import type { StoredError } from './engine'

/**
 * What of an error can be stored. Never throws.
 *
 * @param standIn The name of what has none.
 */
export function toStoredError (thrown: unknown, standIn = 'Error'): StoredError {
  const { name = standIn, message, code, stack } = readError(thrown)
  return { name: clean(name), message: clean(message), code: code && clean(code), stack: stack && clean(withCauses(stack, thrown)) }
}

/**
 * PostgreSQL has neither U+0000 nor half a surrogate pair in texts; an error that cannot be written would keep the task
 * from ever ending.
 */
function clean (text: string): string {
  return text.replaceAll(/\0|\p{Surrogate}/gu, '\uFFFD')
}
