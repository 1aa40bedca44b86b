// What runs in a thread.
import { callInContext } from '../context-storage'
import { describe } from '../describe'
import { FST_ERR_BACKGROUND_INVALID_TASK } from '../errors'
import { readError } from '../read-error'
import { assertTaskFunction } from '../task'
import type { TaskFunction } from '../types'
import { notCloneable } from './cloneable'
import { inOwnMemory, toBuffer, type FromThread, type Job, type SentCall, type ToThread } from './messages'
import { ThreadContext } from './thread-context'
import { fromThrown, toThrown } from './thrown'
import type { WorkerFile } from './worker-file'

/** Calls a function, and says what becomes of it. Never rejects: piscina would clone the error. */
export default async function work ({ file, call, port }: Job): Promise<void> {
  const say = (message: FromThread): void => { port.postMessage(message) }
  say({ kind: 'started' })
  const aborting = new AbortController()
  port.on('message', ({ reason }: ToThread) => { aborting.abort(fromThrown(reason)) })
  try {
    const fn = await load(file)
    if (call === undefined) say({ kind: 'result', result: undefined, isBuffer: false })
    else await answer(fn, call, new ThreadContext(call.context, aborting.signal, say), say)
  } catch (error) {
    say({ kind: 'thrown', thrown: toThrown(error) })
  }
  port.close()
}

async function answer (fn: TaskFunction<never[]>, { args, buffers }: SentCall, context: ThreadContext, say: (message: FromThread) => void): Promise<void> {
  for (const index of buffers) args[index] = toBuffer(args[index] as Uint8Array)
  const result = await callToEnd(context, fn, args as never[])
  try {
    if (Buffer.isBuffer(result)) say({ kind: 'result', result: inOwnMemory(result), isBuffer: true })
    else say({ kind: 'result', result, isBuffer: false })
  } catch {
    throw notCloneable(context.name, 'result', result)
  }
}

async function callToEnd (context: ThreadContext, fn: TaskFunction<never[]>, args: never[]): Promise<unknown> {
  try {
    return await callInContext(context, fn, args)
  } finally {
    context.sayProgress()
  }
}

/** @throws {TypeError} `FST_ERR_BACKGROUND_INVALID_TASK` */
async function load ({ url, exported }: WorkerFile): Promise<TaskFunction<never[]>> {
  const where = `threadTask() of ${url}`
  const fn = functionOf(await loadModule(where, url), exported)
  if (typeof fn !== 'function') throw new FST_ERR_BACKGROUND_INVALID_TASK(where, `a function exported as "${exported}"`, describe(fn))
  assertTaskFunction(where, fn)
  return fn
}

async function loadModule (where: string, url: string): Promise<Record<string, unknown>> {
  try {
    return await import(url)
  } catch (cause) {
    const error = new FST_ERR_BACKGROUND_INVALID_TASK(where, 'a file that can be loaded', `an error: ${readError(cause).message}`)
    throw Object.assign(error, { cause })
  }
}

/** Not every name of a CommonJS module is known to Node as an export; its `default` may be one of TypeScript's, too. */
function functionOf (module: Record<string, unknown>, exported: string): unknown {
  const { [exported]: own, default: whole } = module
  return typeof own === 'function' ? own : (whole as Record<string, unknown> | null | undefined)?.[exported] ?? own
}
