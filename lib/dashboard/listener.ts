import type { ServerResponse } from 'node:http'

// So many frames, one a second, and a client that takes none of them is taken for gone.
const MAX_MISSED = 60

// So many frames, a quarter of an hour. The page asks again, and the hooks see whether it still may.
const MAX_AGE = 900

/** One open page. What it cannot take is not kept for it: it skips frames, and the next is a full one. */
export class Listener {
  readonly #raw: ServerResponse
  #isBlocked = false
  #missed = 0
  #age = 0
  #needsAll = true

  constructor (raw: ServerResponse) {
    this.#raw = raw
    raw.on('drain', () => {
      this.#isBlocked = false
      this.#missed = 0
    })
  }

  /** A response that waits for another one on its connection gets no `close` when the connection ends. */
  get isGone (): boolean {
    return this.#raw.destroyed || this.#raw.req.socket.destroyed
  }

  /**
   * @param recent What has come since the last frame.
   * @param all What somebody needs who has missed some.
   */
  send (recent: () => string, all: () => string): void {
    if (++this.#age > MAX_AGE) {
      this.end()
      return
    }
    if (this.#isBlocked) {
      this.#needsAll = true
      if (++this.#missed >= MAX_MISSED) this.#raw.destroy()
      return
    }
    const frame = this.#needsAll ? all() : recent()
    this.#needsAll = false
    this.#isBlocked = !this.#raw.write(frame)
  }

  end (): void {
    // One that takes nothing would hold up the server's close.
    if (this.#isBlocked) this.#raw.destroy()
    else this.#raw.end()
  }
}
