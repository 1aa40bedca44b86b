/** Who was asked has not answered in time. What it was asked for may still happen. */
export class NoAnswerError extends Error {
  override readonly name = 'NoAnswerError'
  readonly code = 'ETIMEDOUT'

  constructor (what: string, timeout: number) {
    super(`${what}: no answer within ${timeout} ms; it may still do what it was asked for`)
  }
}

/**
 * As the promise that `start` returns, but no later than `timeout` milliseconds from now. What comes of it after that
 * goes nowhere.
 *
 * @param start Is told by `isOver` that nobody waits any more.
 */
export async function within<T> (timeout: number, what: string, start: (isOver: () => boolean) => Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  let isOver = false
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      isOver = true
      reject(new NoAnswerError(what, timeout))
    }, timeout)
  })
  try {
    return await Promise.race([start(() => isOver), late])
  } finally {
    clearTimeout(timer)
  }
}
