import type { StoredError } from './engine'

/** Why a journal cannot be used. Its code is that of its cause: `LEVEL_LOCKED`, `EACCES`, `LEVEL_IO_ERROR` and the like. */
export class JournalError extends Error {
  readonly code: string | undefined

  constructor (message: string, cause?: NodeJS.ErrnoException) {
    super(message, { cause })
    this.name = 'JournalError'
    this.code = cause?.code
  }
}

/** A record that is damaged, or not this version's. */
export class UnreadableRecord extends Error {
  readonly key: string

  constructor (key: string, what: string, cause?: unknown) {
    super(`The record ${key} cannot be read: ${what}`, { cause })
    this.name = 'UnreadableRecord'
    this.key = key
  }
}

/**
 * What of an error can be stored. Never throws.
 *
 * @param name For what is not an error.
 */
export function toStoredError (value: unknown, name = 'Error'): StoredError {
  try {
    const { name: own, message, code, stack } = Object(value) as Record<string, unknown>
    if (typeof message !== 'string') return { name, message: String(value) }
    return { name: text(own) ?? name, message, code: text(code), stack: text(stack) }
  } catch {
    // A getter, a proxy, an object without a prototype.
    return { name, message: 'an error that cannot be read' }
  }
}

/** For what is not ours, loggers and listeners: what they throw must not stop the engine. */
export function quietly (action: () => void): void {
  try {
    action()
  } catch {
    // There is nobody left to tell.
  }
}

/** For what is dealt with elsewhere. */
export function ignore (): void {}

function text (value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}
