interface Test { teardown: (fn: () => unknown) => void }

/** Collects what reaches the process as an unhandled rejection. They are emitted one turn of the loop later at the latest. */
export function unhandledRejections (t: Test): unknown[] {
  return collect(t, 'unhandledRejection')
}

/** Collects what reaches the process as an uncaught exception, which ends it where nobody listens. */
export function uncaughtExceptions (t: Test): unknown[] {
  return collect(t, 'uncaughtException')
}

function collect (t: Test, event: 'unhandledRejection' | 'uncaughtException'): unknown[] {
  const seen: unknown[] = []
  const note = (reason: unknown): void => { seen.push(reason) }
  process.on(event, note)
  t.teardown(() => process.off(event, note))
  return seen
}
