import type { FastifyReply } from 'fastify'
import { hasLeft } from '../has-left'

// So many frames, one a second, and a client that takes none of them is taken for gone.
const MAX_MISSED = 60

// So many frames, a quarter of an hour. The page asks again, and the hooks see whether it still may.
const MAX_AGE = 900

/** One open page. What it cannot take is not kept for it: it skips frames, and the next is a full one. */
export class Listener {
  readonly #reply: FastifyReply
  #isBlocked = false
  #missed = 0
  #age = 0
  #needsAll = true

  constructor (reply: FastifyReply) {
    this.#reply = reply
    reply.raw.on('drain', () => {
      this.#isBlocked = false
      this.#missed = 0
    })
  }

  get isGone (): boolean {
    return hasLeft(this.#reply)
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
      if (++this.#missed >= MAX_MISSED) this.#reply.raw.destroy()
      return
    }
    const frame = this.#needsAll ? all() : recent()
    this.#needsAll = false
    this.#isBlocked = !this.#reply.raw.write(frame)
  }

  end (): void {
    // One that takes nothing would hold up the server's close.
    if (this.#isBlocked) this.#reply.raw.destroy()
    else this.#reply.raw.end()
  }
}
