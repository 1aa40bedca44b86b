import { randomUUID } from 'node:crypto'
import Fastify from 'fastify'
import { bullmq, type BullmqOptions } from '../../lib/engines/bullmq'
import type { Delivery, Engine, EngineWorker, Outcome, StoredSnapshot, StoredState, StoredTask } from '../../lib/engines/engine'
import { memoryLogger, type Line } from './app'
import { turn } from './latch'

interface Teardown { teardown: (fn: () => unknown) => void }

/** An engine on a queue of its own, with the lines that it has logged. */
export interface TestEngine {
  readonly engine: Engine
  readonly lines: Line[]
  readonly queue: string
}

/** Opens an engine, and closes it at the end of the test. */
export async function openEngine (
  t: Teardown, connection: BullmqOptions['connection'], options: Partial<BullmqOptions> = {}
): Promise<TestEngine> {
  const queue = options.queue ?? `queue-${randomUUID()}`
  const engine = bullmq({ queue, connection, lockDuration: 1_000, ...options })
  const { logger, lines } = memoryLogger('debug')
  t.teardown(() => engine.close())
  await engine.open(Fastify({ logger }).log)
  return { engine, lines, queue }
}

export function aTask (given: Partial<StoredTask> = {}): StoredTask {
  return { id: randomUUID(), name: 'task', args: [], reqId: undefined, meta: {}, retries: 0, queuedAt: Date.now(), ...given }
}

export const COMPLETED: Outcome = { state: 'completed', result: undefined }

/** A worker as the plugin is one: what is cancelled ends at once. */
export class TestWorker implements EngineWorker {
  readonly concurrency = Infinity
  readonly deliveries: Delivery[] = []
  readonly #run: (delivery: Delivery) => Outcome | Promise<Outcome>
  readonly #cancels = new Map<string, (reason: unknown) => void>()

  constructor (run: (delivery: Delivery) => Outcome | Promise<Outcome> = () => COMPLETED) {
    this.#run = run
  }

  async run (delivery: Delivery): Promise<Outcome> {
    this.deliveries.push(delivery)
    const { id } = delivery.task
    const cancelled = new Promise<Outcome>((resolve) => {
      this.#cancels.set(id, (reason) => resolve({ state: 'cancelled', reason }))
    })
    const outcome = await Promise.race([cancelled, this.#run(delivery)])
    this.#cancels.delete(id)
    return outcome
  }

  cancel (id: string, reason: unknown): boolean {
    this.#cancels.get(id)?.(reason)
    return this.#cancels.has(id)
  }
}

/** Asks until the answer is the one that is known to come. */
export async function eventually<T> (ask: () => Promise<T>, holds: (answer: T) => boolean): Promise<T> {
  for (;;) {
    const asked = await ask().then((answer) => ({ answer }), unlessLate)
    if (asked !== undefined && holds(asked.answer)) return asked.answer
    await turn()
  }
}

// The time-outs of tests are short, and a machine may have other things to do.
function unlessLate (error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code !== 'ETIMEDOUT') throw error
}

export async function inState (engine: Engine, id: string, state: StoredState): Promise<StoredSnapshot> {
  return await eventually(() => engine.find(id), (found) => found?.state === state) as StoredSnapshot
}
