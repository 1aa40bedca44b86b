import { useEffect, useState } from 'preact/hooks'
import type { Frame, Second } from '../lib/dashboard/frame'

const SECONDS = 300
const RETRY_AFTER = 3_000

export interface Live {
  readonly frame: Frame | undefined
  /** Of the last five minutes, the oldest first. */
  readonly seconds: readonly Second[]
  readonly isConnected: boolean
}

/** What the server sends, while it is listened to. */
export function useFeed (isPaused: boolean): Live {
  const [live, setLive] = useState<Live>({ frame: undefined, seconds: [], isConnected: false })

  useEffect(() => {
    if (isPaused) return
    let source: EventSource
    let timer: ReturnType<typeof setTimeout> | undefined

    function open (): void {
      source = new EventSource('feed')
      source.addEventListener('all', (event) => take(event, true))
      source.addEventListener('recent', (event) => take(event, false))
      source.addEventListener('error', () => {
        setLive((before) => ({ ...before, isConnected: false }))
        // The browser itself does not come back after an answer that is no stream.
        if (source.readyState === EventSource.CLOSED) timer = setTimeout(open, RETRY_AFTER)
      })
    }

    open()
    return () => {
      source.close()
      clearTimeout(timer)
    }
  }, [isPaused])

  return live

  function take ({ data }: MessageEvent<string>, isAll: boolean): void {
    const frame = JSON.parse(data) as Frame
    setLive(({ seconds }) => ({ frame, seconds: isAll ? frame.seconds : merge(seconds, frame), isConnected: true }))
  }
}

function merge (seconds: readonly Second[], frame: Frame): readonly Second[] {
  const oldest = frame.time / 1_000 - SECONDS
  const newest = seconds.at(-1)?.[0] ?? 0
  return [...seconds.filter(([time]) => time >= oldest), ...frame.seconds.filter(([time]) => time > newest)]
}
