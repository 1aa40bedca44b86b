/** What can be read of something that was thrown. */
export interface ReadError {
  readonly name: string | undefined
  readonly message: string
  readonly code: string | undefined
  readonly stack: string | undefined
}

export const UNREADABLE = 'an error that cannot be read'

const CAUSED_BY = '\ncaused by: '
const MAX_CAUSES = 4

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

/** Its stack, or its name and message where it has none, with its code. Never throws. */
export function textOf (thrown: unknown): string {
  const { name, message, code, stack } = readError(thrown)
  const whole = stack ?? (name === undefined ? message : `${name}: ${message}`)
  if (code === undefined) return whole
  // One that was stored has its causes in its stack.
  const [own, ...causes] = whole.split(CAUSED_BY)
  return [`${own}\n  code: ${code}`, ...causes].join(CAUSED_BY)
}

/** A text, with those of what it was caused by: "fetch failed" alone says little. Never throws. */
export function withCauses (whole: string, thrown: unknown): string {
  const texts = [whole]
  for (let each = causeOf(thrown); each !== undefined && texts.length <= MAX_CAUSES; each = causeOf(each)) texts.push(textOf(each))
  return texts.join(CAUSED_BY)
}

/** `undefined` where it cannot be read. */
export function orUndefined<T> (read: () => T): T | undefined {
  try {
    return read()
  } catch {}
}

function causeOf (thrown: unknown): unknown {
  return orUndefined(() => (Object(thrown) as Error).cause ?? undefined)
}

function text (value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}
