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
    if (!isLikeAnError(value)) return { name, message: String(value) }
    const { code, stack } = value
    return {
      name: String(value.name),
      message: value.message,
      code: typeof code === 'string' ? code : undefined,
      stack: typeof stack === 'string' ? stack : undefined
    }
  } catch {
    // A getter, a proxy, an object without a prototype.
    return { name, message: 'an error that cannot be read' }
  }
}

function isLikeAnError (value: unknown): value is { name?: unknown, message: string, code?: unknown, stack?: unknown } {
  return typeof (value as { message?: unknown } | null | undefined)?.message === 'string'
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
