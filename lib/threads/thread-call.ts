import { AsyncResource } from 'node:async_hooks'
import { MessageChannel, receiveMessageOnPort, type MessagePort } from 'node:worker_threads'
import { FST_ERR_BACKGROUND_THREAD_ENDED } from '../errors'
import type { TaskContext } from '../types'
import { notCloneable } from './cloneable'
import { inOwnMemory, toBuffer, type Answer, type FromThread, type Job, type LogLine, type SentContext, type ToThread } from './messages'
import type { Piscina } from './piscina'
import { writeLine } from './thread-log'
import { fromThrown, toThrown } from './thrown'
import type { WorkerFile } from './worker-file'

/** One call of a file's function in a thread. */
export class ThreadCall {
  /** What the function returns or throws, or why it does not come to that. */
  readonly outcome: Promise<unknown>
  readonly #file: WorkerFile
  readonly #context: TaskContext
  readonly #sent: SentContext
  // It may be another call whose end has it started.
  readonly #scope = new AsyncResource('ThreadCall')
  readonly #onStart: () => void
  // Until there is an outcome: the thread may be at work for longer.
  #args: unknown[] | undefined
  #resolve!: (result: unknown) => void
  #reject!: (error: unknown) => void
  #isOver = false
  #isAborted = false
  // While it has a thread, or is to have one.
  #port: MessagePort | undefined
  // Until the thread is free: who is told of the outcome may have use for it.
  #answer: Answer | undefined
  #killTimer: NodeJS.Timeout | undefined
  readonly #killing = new AbortController()

  /**
   * @param args `undefined`: only to see whether the file has the function.
   * @param onStart Called when a thread is at it.
   */
  constructor (file: WorkerFile, context: TaskContext, args: unknown[] | undefined, onStart = (): void => {}) {
    this.#file = file
    this.#context = context
    this.#args = args
    const { id, name, attempt, log } = context
    this.#sent = { id, name, attempt, logLevel: log.level }
    this.#onStart = onStart
    this.outcome = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  /** Whether it has its outcome. */
  get isOver (): boolean {
    return this.#isOver
  }

  /** Whether its function has been told to end. */
  get isAborted (): boolean {
    return this.#isAborted
  }

  /**
   * Follows the signal of its task: ends where it waits for a thread, and tells the function if it has one.
   *
   * @param abortTimeout Says how many milliseconds the function may then take, before its thread is ended.
   * @param onDrop Called where it will not want a thread any more.
   */
  follow (abortTimeout: () => number, onDrop: () => void): void {
    // It is not aborted yet: the core does not call the function of an attempt that has been ended.
    const { signal } = this.#context
    signal.addEventListener('abort', () => {
      this.#isAborted = true
      this.#fail(signal.reason)
      if (this.#port === undefined) onDrop()
      else this.#tell({ reason: toThrown(signal.reason) }, abortTimeout())
    }, { once: true, signal: this.#killing.signal })
  }

  /** Has a thread call the function. Resolves when the thread is free or gone, with or after the outcome. */
  async start (piscina: Piscina): Promise<void> {
    const { port1, port2 } = new MessageChannel()
    this.#port = port1.on('message', (message: FromThread) => { this.#scope.runInAsyncScope(this.#receive, this, message) })
    const failure = await piscina.run(this.#job(port2), { transferList: [port2], signal: this.#killing.signal })
      .then(() => undefined, (error: Error) => error)
    clearTimeout(this.#killTimer)
    // What the thread has said was there before it was free, or gone.
    for (let last; (last = receiveMessageOnPort(port1)) !== undefined;) port1.emit('message', last.message)
    port1.close()
    if (this.#answer !== undefined) this.#settle(this.#answer)
    else this.#fail(this.#whyFailed(failure!))
    // Takes the listener off the task's signal, too.
    this.kill()
  }

  /** Ends its thread, whatever that is at. For one that has its outcome. */
  kill (): void {
    this.#killing.abort()
  }

  /** It has no thread: there cannot be one. */
  strand (cause: Error): void {
    this.#fail(this.#ended(cause))
    this.kill()
  }

  #job (port: MessagePort): Job {
    if (this.#args === undefined) return { file: this.#file, call: undefined, port }
    const buffers = this.#args.flatMap((arg, index) => Buffer.isBuffer(arg) ? [index] : [])
    const args = this.#args.map((arg) => Buffer.isBuffer(arg) ? inOwnMemory(arg) : arg)
    return { file: this.#file, call: { args, buffers, context: this.#sent }, port }
  }

  #tell (message: ToThread, timeout: number): void {
    this.#port!.postMessage(message)
    this.#killTimer = setTimeout(() => { this.kill() }, timeout)
  }

  #receive (message: FromThread): void {
    switch (message.kind) {
      case 'started': this.#onStart(); return
      case 'progress': this.#context.progress(message.progress); return
      case 'log': this.#log(message); return
      default: this.#answer = message
    }
  }

  #settle (answer: Answer): void {
    if (answer.kind === 'thrown') {
      this.#fail(fromThrown(answer.thrown))
      return
    }
    this.#end()
    this.#resolve(answer.isBuffer ? toBuffer(answer.result as Uint8Array) : answer.result)
  }

  #log (line: LogLine): void {
    // What a logger throws is the task's, as everywhere.
    try {
      writeLine(this.#context.log, line)
    } catch (error) {
      this.#fail(error)
    }
  }

  #fail (error: unknown): void {
    this.#end()
    this.#reject(error)
  }

  #end (): void {
    this.#isOver = true
    this.#args = undefined
  }

  /** @param error What piscina rejected with. */
  #whyFailed (error: Error): unknown {
    // They have been changed since the task was added.
    if (error.name === 'DataCloneError') return notCloneable(this.#sent.name, 'args', this.#args)
    return this.#ended(error)
  }

  #ended (cause: Error): Error {
    return Object.assign(new FST_ERR_BACKGROUND_THREAD_ENDED(this.#sent.name, cause.message), { cause })
  }
}
