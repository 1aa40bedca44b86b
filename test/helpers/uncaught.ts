interface Test { teardown: (fn: () => unknown) => void }

/** Collects what reaches the process as an uncaught exception, which ends it where nobody listens. */
export function uncaughtExceptions (t: Test): unknown[] {
  const seen: unknown[] = []
  const collect = (error: unknown): void => { seen.push(error) }
  process.on('uncaughtException', collect)
  t.teardown(() => process.off('uncaughtException', collect))
  return seen
}
