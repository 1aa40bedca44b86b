import { useEffect, useState } from 'preact/hooks'

const EVERY = 2_000

export interface Polled<T> {
  readonly value: T | undefined
  readonly error: string | undefined
}

/**
 * Asks again and again, each time some time after the last answer.
 *
 * @param key What is asked for; `undefined`: nothing.
 */
export function usePolled<T> (key: string | undefined, question: () => Promise<T>, isPaused: boolean): Polled<T> {
  const [polled, setPolled] = useState<Polled<T> & { key?: string | undefined }>({ value: undefined, error: undefined })

  useEffect(() => {
    if (key === undefined) return
    let isOver = false
    let timer: ReturnType<typeof setTimeout> | undefined
    async function ask (): Promise<void> {
      const answer = await question().then((value) => ({ value, error: undefined }), (error: Error) => ({ error: error.message }))
      if (isOver) return
      // An old answer is better than none, if it is to the same question.
      setPolled((before) => ({ value: before.key === key ? before.value : undefined, ...answer, key }))
      if (!isPaused) timer = setTimeout(ask, EVERY)
    }
    ask()
    return () => {
      isOver = true
      clearTimeout(timer)
    }
  }, [key, isPaused])

  return polled.key === key ? polled : { value: undefined, error: undefined }
}
