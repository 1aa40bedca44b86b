import type { JobQueue, Server } from './bullmq-server'

/** The connection for calls. */
export class Producer {
  readonly #server: Server
  readonly #name: string
  readonly #report: (error: unknown) => void
  #connecting: Promise<JobQueue> | undefined
  #queue: JobQueue | undefined

  constructor (server: Server, name: string, report: (error: unknown) => void) {
    this.#server = server
    this.#name = name
    this.#report = report
  }

  /**
   * Resolves when the server can be asked, which may take as long as it is away. A queue whose first connection failed
   * stays dead in BullMQ: the next call makes another.
   */
  queue (): Promise<JobQueue> {
    this.#connecting ??= this.#connect()
    return this.#connecting
  }

  /** Does not wait for the server. */
  async close (): Promise<void> {
    if (this.#queue !== undefined) await this.#server.release(this.#queue.getBackend())
  }

  async #connect (): Promise<JobQueue> {
    try {
      await this.#server.reach()
      const queue = this.#queue = new this.#server.classes.Queue(this.#name, { ...this.#server.producer })
      const refused = new Promise<never>((_resolve, reject) => {
        queue.on('error', (error) => {
          // ioredis would knock at the door for ever.
          if (this.#server.isSetUpWrongly(error)) reject(error)
          this.#report(error)
        })
      })
      await Promise.race([queue.waitUntilReady(), refused])
      return queue
    } catch (error) {
      this.#connecting = undefined
      await this.close()
      throw error
    }
  }
}
