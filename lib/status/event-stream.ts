import { Readable } from 'node:stream'

const COMMENT = ':\n\n'

export interface ServerEvent {
  readonly id: string
  /** @default 'message' */
  readonly event?: string
  /** Of one line. */
  readonly data: string
}

/**
 * One listener's events (https://html.spec.whatwg.org/multipage/server-sent-events.html). Each event says all that there
 * is to say, so of those that a slow listener has not taken, only the last is kept.
 */
export class EventStream extends Readable {
  readonly #onEnd: () => void
  #pending = ''
  #wanted = false
  #stalled = false
  #ended = false

  /**
   * @param retry After how many milliseconds the listener is to connect again if it is cut off.
   * @param onEnd Called once, however it ends.
   */
  constructor (retry: number, onEnd: () => void) {
    super({ highWaterMark: 1 })
    this.#onEnd = onEnd
    this.push(`retry: ${retry}\n\n`)
  }

  write (event: ServerEvent): void {
    this.#pending = textOf(event)
    this.#flush()
  }

  /** Ends it, with a last event or as it is. */
  finish (event?: ServerEvent): void {
    if (event !== undefined) this.#pending = textOf(event)
    this.#ended = true
    this.#flush()
  }

  /** Says that it is there; gives up on a listener that has taken nothing since the last time. */
  beat (): void {
    if (this.#wanted) this.#give(COMMENT)
    else if (this.#stalled) this.destroy()
    else this.#stalled = true
  }

  override _read (): void {
    this.#wanted = true
    this.#stalled = false
    this.#flush()
  }

  override _destroy (error: Error | null, callback: (error?: Error | null) => void): void {
    this.#onEnd()
    callback(error)
  }

  #flush (): void {
    if (!this.#wanted) return
    if (this.#pending !== '') {
      const text = this.#pending
      this.#pending = ''
      this.#give(text)
    } else if (this.#ended) {
      this.#wanted = false
      this.push(null)
    }
  }

  #give (text: string): void {
    this.#wanted = false
    this.push(text)
  }
}

function textOf ({ id, event, data }: ServerEvent): string {
  return `id: ${id}\n${event === undefined ? '' : `event: ${event}\n`}data: ${data}\n\n`
}
