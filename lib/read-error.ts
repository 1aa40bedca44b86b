/** What can be read of something that was thrown. */
export interface ReadError {
  readonly name: string | undefined
  readonly message: string
  readonly code: string | undefined
  readonly stack: string | undefined
}

export const UNREADABLE = 'an error that cannot be read'

/** Never throws: what was thrown may be an object whose getters throw, a proxy, or one without a prototype. */
export function readError (thrown: unknown): ReadError {
  const fields: Record<string, unknown> = Object(thrown)
  const read = (key: string): string | undefined => orUndefined(() => text(fields[key]))
  return {
    name: read('name'),
    message: orUndefined(() => text(fields.message) ?? String(thrown)) ?? UNREADABLE,
    code: read('code'),
    stack: read('stack')
  }
}

/** `undefined` where it cannot be read. */
export function orUndefined<T> (read: () => T): T | undefined {
  try {
    return read()
  } catch {}
}

function text (value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}
