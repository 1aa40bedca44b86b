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
