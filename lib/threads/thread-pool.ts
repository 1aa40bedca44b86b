import { AsyncResource } from 'node:async_hooks'
import type { Worker } from 'node:worker_threads'
import { StandInContext } from '../stand-in-context'
import { Waiting } from '../waiting'
import { requirePiscina, type Piscina } from './piscina'
import { ThreadCall } from './thread-call'
import type { WorkerFile } from './worker-file'

const WORKER = require.resolve('./worker')

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
 * Piscina is given no more calls than there may be threads: one that stands in its queue may be left there for ever
 * when a thread is ended.
 */
export class ThreadPool {
  readonly options: PoolOptions
  readonly #report: (error: Error) => void
  readonly #waiting = new Waiting<ThreadCall>()
  // With a thread, or with one that is starting.
  readonly #atWork = new Map<ThreadCall, Promise<void>>()
  // Until they have exited: piscina does not wait for those that it ends in the midst of a call.
  readonly #threads = new Set<Worker>()
  #piscina: Piscina | undefined
  #holds = 0

  /** @param report Told of the error that has ended a thread without a call. */
  constructor (options: PoolOptions, report: (error: Error) => void) {
    this.options = options
    this.#report = report
  }

  /** Calls a function, when a thread is free for it. */
  run (call: ThreadCall): Promise<unknown> {
    this.hold()
    this.#waiting.push(call)
    call.follow(this.options.abortTimeout, () => {
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

  /** Ends the threads of functions that have been told to end. */
  async endAborted (): Promise<void> {
    const aborted = [...this.#atWork].filter(([call]) => call.isAborted)
    for (const [call] of aborted) call.kill()
    await Promise.all(aborted.map(([, end]) => end))
  }

  /** Ends all threads if nobody else holds the pool. */
  async release (): Promise<void> {
    if (--this.#holds > 0) return
    const piscina = this.#piscina
    this.#piscina = undefined
    // Not those of a call that comes meanwhile.
    const exits = [...this.#threads].map((thread) => new Promise((resolve) => { thread.once('exit', resolve) }))
    await piscina?.destroy()
    await Promise.all(exits)
  }

  #advance (): void {
    while (this.#atWork.size < this.options.maxThreads) {
      const call = this.#waiting.next()
      if (call === undefined) return
      this.#atWork.set(call, outside.runInAsyncScope(this.#start, this, call))
    }
  }

  async #start (call: ThreadCall): Promise<void> {
    const piscina = this.#piscina ??= this.#open()
    const end = call.start(piscina)
    for (const thread of piscina.threads) this.#watch(thread)
    await end
    this.#atWork.delete(call)
    this.#advance()
    this.release()
  }

  #watch (thread: Worker): void {
    if (this.#threads.has(thread)) return
    this.#threads.add(thread)
    thread.once('exit', () => { this.#threads.delete(thread) })
  }

  #open (): Piscina {
    const { maxThreads, maxMemory } = this.options
    const piscina = new (requirePiscina())({
      filename: WORKER,
      minThreads: 0,
      maxThreads,
      idleTimeout: Infinity,
      // An idle thread is to be one that is idle, not one that is stopped in the midst of what it still does.
      atomics: 'disabled',
      recordTiming: false,
      resourceLimits: { maxOldGenerationSizeMb: maxMemory }
    })
    // What has ended a thread, if it was an error: it comes right behind.
    let error: Error | undefined
    piscina.on('error', (thrown: Error) => { error = thrown })
    // Those that had this thread know of it by then.
    piscina.on('workerDestroy', () => setImmediate(() => {
      if (piscina === this.#piscina) this.#failStranded(piscina, error)
      error = undefined
    }))
    return piscina
  }

  /** Piscina keeps what it had for a thread that ended before it was ready, and starts no other for it. */
  #failStranded (piscina: Piscina, error: Error | undefined): void {
    const missing = Math.max(0, this.#atWork.size - piscina.threads.length)
    const stranded = [...this.#atWork.keys()].filter((call) => !call.hasStarted).slice(0, missing)
    for (const call of stranded) call.strand(error)
    if (error !== undefined && stranded.length === 0) this.#report(error)
  }
}
