import { join } from 'node:path'
import type { Worker } from 'node:worker_threads'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import background from '../../lib/index'
import { threads, type ThreadsOptions } from '../../lib/threads/threads'
import type { Line } from './app'
import { latch } from './latch'
import './plain-threads'

interface Test { teardown: (fn: () => unknown) => void }

/** A file for threads. */
export function fixture (name = 'work.mjs'): string {
  return join(__dirname, '../fixtures/threads', name)
}

/** A fresh app with both plugins, closed at the end of the test. */
export async function createThreadsApp (
  t: Test, options: ThreadsOptions = {}, own: background.BackgroundOptions = {}, server: FastifyServerOptions = {}
): Promise<FastifyInstance> {
  const app = Fastify({ pluginTimeout: 0, ...server })
  t.teardown(() => app.close())
  await app.register(background, own)
  await app.register(threads, options)
  await app.ready()
  return app
}

/** Memory that a thread sees, too: it waits at the first number, counts itself in the second. */
export function sharedNumbers (): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(8))
}

/** Lets those that wait go on. */
export function letGo (shared: Int32Array<SharedArrayBuffer>): void {
  Atomics.store(shared, 0, 1)
  Atomics.notify(shared, 0)
}

/** The threads of this process that are alive, from here on. */
export function watchThreads (t: Test): Set<Worker> {
  const alive = new Set<Worker>()
  const watch = (worker: Worker): void => {
    alive.add(worker)
    worker.once('exit', () => { alive.delete(worker) })
  }
  process.on('worker', watch)
  t.teardown(() => { process.off('worker', watch) })
  return alive
}

/** The other side has counted itself in: without a turn of the loop, threads are to have the CPU. */
export async function isAtWork (shared: Int32Array<SharedArrayBuffer>): Promise<void> {
  await (Atomics as unknown as { waitAsync: (...args: unknown[]) => { value: unknown } }).waitAsync(shared, 1, 0).value
}

/** The first line of a log with this message. */
export function listen (msg: string): { logger: FastifyServerOptions['logger'], line: Promise<Line> } {
  const line = latch<Line>()
  return {
    line,
    logger: { stream: { write (text: string) { if (JSON.parse(text).msg === msg) line.open(JSON.parse(text)) } } }
  }
}

/** Keeps the threads of this process until the last test has ended: on a loaded machine they take their time to start. */
export function keepThreads (
  t: { before: (fn: () => unknown) => void, teardown: (fn: () => unknown) => void }, options: ThreadsOptions = {}, server: FastifyServerOptions = {}
): void {
  const app = Fastify({ pluginTimeout: 0, ...server })
  t.before(async () => {
    await app.register(threads, options)
    // An idle thread does not keep the process alive: a server does.
    await app.listen({ port: 0, host: '127.0.0.1' })
  })
  t.teardown(() => app.close())
}
