/** What an attempt needs of its run. `complete` and `fail` may come late, or after the run has been ended otherwise. */
export interface Executable {
  call (): unknown
  complete (result: unknown): void
  fail (error: unknown): void
}

/** One attempt: calls the task's function and hands its outcome to the run. Never throws (R3). */
export function execute (run: Executable): void {
  let result: unknown
  try {
    result = run.call()
    if (isThenable(result)) {
      // Promise.resolve takes a foreign thenable at its word only once, and catches a `then` that throws.
      Promise.resolve(result).then((value) => run.complete(value), (error) => run.fail(error))
      return
    }
  } catch (error) {
    run.fail(error)
    return
  }
  run.complete(result)
}

export function isThenable (value: unknown): value is PromiseLike<unknown> {
  return value !== null && (typeof value === 'object' || typeof value === 'function') &&
    typeof (value as { then?: unknown }).then === 'function'
}
