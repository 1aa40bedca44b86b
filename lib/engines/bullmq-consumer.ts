import type { EventEmitter } from 'node:events'
import type { JobEvents, JobWorker, Server } from './bullmq-server'
import { ignore } from './quietly'

// Between two tries to start.
const RETRY_DELAY = 500

/**
 * How long BullMQ waits for a job or an event in one command, in milliseconds. While the server is away, it waits that
 * long and a second even where the engine has been closed, and the process does not end before.
 */
export const BLOCKING_TIMEOUT = 2_000

/**
 * Keeps one of BullMQ's loops running. They live through most outages by themselves, but one whose first connection
 * failed, or whose loop broke, is dead for ever: then another is made.
 */
export class Consumer<R extends JobWorker | JobEvents> {
  /** Resolves when it runs for the first time. */
  readonly started: Promise<void>
  readonly #server: Server
  readonly #make: () => R | Promise<R>
  readonly #report: (error: unknown) => void
  #start!: () => void
  #runner: R | undefined
  #isStopped = false
  #isClosed = false
  #running: Promise<void> | undefined
  #wake: (() => void) | undefined

  constructor (server: Server, make: () => R | Promise<R>, report: (error: unknown) => void) {
    this.#server = server
    this.#make = make
    this.#report = report
    this.started = new Promise((resolve) => { this.#start = resolve })
    this.#keepRunning()
  }

  /** No other is made from here on, and a worker takes no more jobs. */
  stop (): void {
    if (this.#isStopped) return
    this.#isStopped = true
    this.#wake?.()
    if (isWorker(this.#runner)) this.#runner.pause(true).catch(this.#report)
  }

  /** Waits until a worker that has been stopped is done with the jobs that it had. May wait for the server. */
  async drained (): Promise<void> {
    // Not the worker's own `close`: once it has begun to wait for a server, it cannot be told to do so no longer.
    if (this.#running !== undefined) await this.#runner?.getBackend().disconnectBlocking()
    await this.#running
  }

  /** Ends it, whatever it is at. Does not wait for the server. */
  async close (): Promise<void> {
    this.stop()
    this.#isClosed = true
    if (this.#runner !== undefined) await this.#release(this.#runner)
  }

  async #keepRunning (): Promise<void> {
    while (!this.#isStopped) {
      try {
        await this.#server.reach()
        await this.#run()
      } catch (error) {
        this.#report(error)
      }
      if (!this.#isStopped) await this.#pause()
    }
  }

  async #run (): Promise<void> {
    if (this.#isStopped) return
    const runner = this.#runner = await this.#make()
    if (this.#isClosed) return await this.#release(runner)
    ;(runner as EventEmitter).on('error', this.#report)
    try {
      await runner.waitUntilReady()
      if (this.#isStopped) return
      this.#start()
      this.#running = runner.run()
      await this.#running
    } finally {
      // A worker that was stopped still writes the outcomes of what it has at work.
      if (!this.#isStopped) await this.#release(runner)
    }
  }

  async #release (runner: R): Promise<void> {
    // Ends its loop. It may wait for a server that is away, until its connections are taken from it.
    runner.close(true).catch(ignore)
    await this.#server.release(runner.getBackend())
  }

  #pause (): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, RETRY_DELAY)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

function isWorker (runner: JobWorker | JobEvents | undefined): runner is JobWorker {
  return runner !== undefined && 'pause' in runner
}
