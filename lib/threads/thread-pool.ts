import { AsyncResource } from 'node:async_hooks'
import type { Worker } from 'node:worker_threads'
import { StandInContext } from '../stand-in-context'
import { Waiting } from '../waiting'
import { requirePiscina, type Piscina } from './piscina'
import { ThreadCall } from './thread-call'
import type { WorkerFile } from './worker-file'

const WORKER = require.resolve('./worker')
// A thread that is in the midst of what is not JavaScript, as `execSync`, ends only behind that.
const EXIT_TIMEOUT = 1_000

// Threads outlive the calls that they are started for, and are to hold nothing of their async context.
const outside = new AsyncResource('Threads')

export interface PoolOptions {
  readonly maxThreads: number
  readonly abortTimeout: number
  /** In MiB. */
  readonly maxMemory: number | undefined
}

/**
 * Threads that are there while somebody holds the pool: an application from boot to close, a call while it is at work.
 * Each has a Piscina of its own: one for all would leave calls in its queue for ever where a thread ends before it is
 * ready, or cannot be started at all.
 */
export class ThreadPool {
  readonly options: PoolOptions
  readonly #report: (error: Error) => void
  readonly #waiting = new Waiting<ThreadCall>()
  // With a thread, or with one that is starting.
  readonly #atWork = new Map<ThreadCall, Promise<void>>()
  readonly #idle: Piscina[] = []
  // Of all threads: piscina does not wait for those that it ends in the midst of a call.
  readonly #exits = new Set<Promise<void>>()
  #abortTimeout: number
  #holds = 0

  /** @param report Told of the error that has ended a thread without a call. */
  constructor (options: PoolOptions, report: (error: Error) => void) {
    this.options = options
    this.#abortTimeout = options.abortTimeout
    this.#report = report
  }

  /** Calls a function, when a thread is free for it. */
  run (call: ThreadCall): Promise<unknown> {
    this.hold()
    this.#waiting.push(call)
    call.follow(() => this.#abortTimeout, () => {
      this.#waiting.noteEnded()
      this.release()
    })
    this.#advance()
    return call.outcome
  }

  /**
   * Rejects where a file cannot be loaded or lacks its function.
   *
   * @param signal Of who asks: not aborted yet.
   */
  async look (file: WorkerFile, signal: AbortSignal): Promise<void> {
    await this.run(new ThreadCall(file, new StandInContext(file.name, signal), undefined))
  }

  hold (): void {
    this.#holds++
  }

  /** Ends the threads of functions that have been told to end. From here on, such a function has no more time. */
  async endAborted (): Promise<void> {
    this.#abortTimeout = 0
    const aborted = [...this.#atWork].filter(([call]) => call.isAborted)
    for (const [call] of aborted) call.kill()
    await Promise.all(aborted.map(([, end]) => end))
  }

  /** Ends all threads if nobody else holds the pool. */
  async release (): Promise<void> {
    if (--this.#holds > 0) return
    for (const piscina of this.#idle.splice(0)) piscina.destroy()
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, EXIT_TIMEOUT)
      // Not those of a call that comes meanwhile.
      Promise.all(this.#exits).then(() => {
        clearTimeout(timer)
        resolve()
      })
    })
  }

  #advance (): void {
    while (this.#atWork.size < this.options.maxThreads) {
      const call = this.#waiting.next()
      if (call === undefined) return
      this.#atWork.set(call, outside.runInAsyncScope(this.#start, this, call))
    }
  }

  /** Never rejects: whatever becomes of a call, its place is free for the next. */
  async #start (call: ThreadCall): Promise<void> {
    let piscina: Piscina | undefined
    try {
      piscina = this.#takeIdle() ?? this.#open()
      await call.start(piscina)
    } catch (error) {
      call.strand(error as Error)
      // `#advance` is to have it among those at work first.
      await undefined
    }
    if (piscina !== undefined && piscina.threads.length > 0) this.#idle.push(piscina)
    this.#atWork.delete(call)
    this.#advance()
    this.release()
  }

  #takeIdle (): Piscina | undefined {
    let piscina
    do piscina = this.#idle.pop()
    while (piscina?.threads.length === 0)
    return piscina
  }

  /** @throws where there can be no further thread. */
  #open (): Piscina {
    const { maxMemory } = this.options
    const piscina = new (requirePiscina())({
      filename: WORKER,
      minThreads: 1,
      maxThreads: 1,
      idleTimeout: Infinity,
      // An idle thread is to be one that is idle, not one that is stopped in the midst of what it still does.
      atomics: 'disabled',
      recordTiming: false,
      resourceLimits: { maxOldGenerationSizeMb: maxMemory }
    })
    // It has its thread, and is not to start another when that ends.
    piscina.options.minThreads = 0
    piscina.on('error', this.#report)
    this.#noteExit(piscina.threads[0])
    return piscina
  }

  #noteExit (thread: Worker): void {
    const exit = new Promise<void>((resolve) => {
      thread.once('exit', () => {
        this.#exits.delete(exit)
        resolve()
      })
    })
    this.#exits.add(exit)
  }
}
