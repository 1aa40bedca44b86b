interface Test { teardown: (fn: () => unknown) => void }

/** Collects what reaches the process as an unhandled rejection. They are emitted one turn of the loop later at the latest. */
export function unhandledRejections (t: Test): unknown[] {
  const seen: unknown[] = []
  const collect = (reason: unknown): void => { seen.push(reason) }
  process.on('unhandledRejection', collect)
  t.teardown(() => process.off('unhandledRejection', collect))
  return seen
}
