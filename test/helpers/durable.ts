import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import background from '../../lib/index'
import { createApp, memoryLogger, type Line } from './app'
import { MemoryEngine, type MemoryEngineOptions } from './memory-engine'

type Options = background.BackgroundOptions & MemoryEngineOptions & { readonly engine?: MemoryEngine }

export interface DurableApp {
  app: FastifyInstance
  engine: MemoryEngine
  lines: Line[]
  /** What `onTaskError` was called with. */
  errors: Array<[error: unknown, run: background.TaskRun]>
}

/** A fresh app with an engine in memory, ready, with its log and its errors. */
export async function createDurableApp (t: Parameters<typeof createApp>[0], options: Options = {}, server: FastifyServerOptions = {}): Promise<DurableApp> {
  const { local, concurrency, memory, engine = new MemoryEngine({ local, memory }), ...others } = options
  const { logger, lines } = memoryLogger()
  const errors: DurableApp['errors'] = []
  const app = await createApp(t, {
    engine, concurrency, onTaskError: (error, run) => { errors.push([error, run]) }, ...others
  }, { logger, ...server })
  return { app, engine, lines, errors }
}

/** A durable definition. */
export function durable<A extends unknown[], R> (
  name: string, fn: background.TaskFunction<A, R>, options: background.TaskOptions = {}
): background.TaskDefinition<A, R> {
  return background.defineTask(fn, { durable: true, name, ...options })
}

/** A durable definition that keeps what it was called with. */
export type Recorder = background.TaskDefinition<unknown[], void> & { readonly calls: unknown[][] }

export function recorder (name: string, options: background.TaskOptions = {}): Recorder {
  const calls: unknown[][] = []
  return Object.assign(durable(name, (...args: unknown[]) => { calls.push(args) }, options), { calls })
}
