import type { FastifyBaseLogger } from 'fastify'

/**
 * Says that the server is in trouble once, however many calls and connections find out, and once that it is back:
 * when it has answered twice, with the interval between without another error.
 */
export class Trouble {
  readonly #log: FastifyBaseLogger
  readonly #probe: () => Promise<unknown>
  readonly #interval: number
  #answers: number | undefined
  #timer: NodeJS.Timeout | undefined
  #isClosed = false

  /** @param interval Between probes, in milliseconds. */
  constructor (log: FastifyBaseLogger, interval: number, probe: () => Promise<unknown>) {
    this.#log = log
    this.#probe = probe
    this.#interval = interval
  }

  report (err: unknown): void {
    if (this.#isClosed) return
    if (this.#answers === undefined) {
      this.#log.warn({ err }, 'bullmq: the server is in trouble; tasks wait until it is back')
      this.#wait()
    }
    this.#answers = 0
  }

  close (): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
  }

  #wait (): void {
    this.#timer = setTimeout(() => this.#ask(), this.#interval)
  }

  async #ask (): Promise<void> {
    try {
      await this.#probe()
      this.#answers = (this.#answers as number) + 1
    } catch {
      this.#answers = 0
    }
    if (this.#isClosed) return
    if (this.#answers < 2) {
      this.#wait()
    } else {
      this.#answers = undefined
      this.#log.info('bullmq: the server is back')
    }
  }
}
