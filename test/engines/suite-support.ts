import { randomUUID } from 'node:crypto'
import type { FastifyBaseLogger } from 'fastify'
import type { Test } from 'tap'
import type { Delivery, Engine, EngineWorker, Outcome, StoredSnapshot, StoredState, StoredTask } from '../../lib/engines/engine'
import { turn } from '../helpers/latch'

/** A place where tasks are stored, and engines that share it, as processes would. */
export interface EngineStore {
  /** A fresh engine, not open yet. */
  engine: (options?: { concurrency?: number }) => Engine
  /**
   * What is left when the process of an open engine is killed: from here on, nothing that it does reaches the store.
   * An engine that is opened later finds its unfinished tasks.
   */
  crash: (engine: Engine) => Promise<void>
}

/** One attempt that waits for the test to say how it ends. */
export interface Job extends Delivery {
  end: (outcome: Outcome) => void
}

export const COMPLETED: Outcome = { state: 'completed', result: undefined }
/** Milliseconds until another attempt: as many as it may take to see that the task waits for it. */
export const A_WHILE = 2_000
export const BACK: Outcome = { state: 'returned', delay: 0 }

/** A worker that does what the test says. */
export class Hand implements EngineWorker {
  readonly concurrency: number
  /** What has been delivered, in that order. */
  readonly jobs: Job[] = []
  readonly cancels: Array<[id: string, reason: unknown]> = []
  readonly #atWork = new Map<string, Job>()
  readonly #expecting: Array<() => void> = []

  constructor (concurrency = Infinity) {
    this.concurrency = concurrency
  }

  get atWork (): number {
    return this.#atWork.size
  }

  /** The delivery of that number, from 0, once it is there. */
  async job (number: number): Promise<Job> {
    while (this.jobs.length <= number) await new Promise<void>((resolve) => this.#expecting.push(resolve))
    return this.jobs[number]
  }

  async run (delivery: Delivery): Promise<Outcome> {
    return await new Promise((resolve) => {
      const job: Job = {
        ...delivery,
        end: (outcome) => {
          if (this.#atWork.get(job.task.id) === job) this.#atWork.delete(job.task.id)
          resolve(outcome)
        }
      }
      this.#atWork.set(job.task.id, job)
      this.jobs.push(job)
      for (const proceed of this.#expecting.splice(0)) proceed()
    })
  }

  cancel (id: string, reason: unknown): boolean {
    this.cancels.push([id, reason])
    const job = this.#atWork.get(id)
    job?.end({ state: 'cancelled', reason })
    return job !== undefined
  }

  /** Hands back what is at work, as at shutdown. */
  handBack (): void {
    for (const job of [...this.#atWork.values()]) job.end(BACK)
  }
}

/** One test's store, engines and workers, all closed at its end. */
export class Bench {
  readonly store: EngineStore
  readonly #log: FastifyBaseLogger
  readonly #live = new Set<Engine>()
  readonly #hands: Hand[] = []

  constructor (t: Test, store: EngineStore, log = SILENT) {
    this.store = store
    this.#log = log
    t.teardown(async () => {
      for (const hand of this.#hands) hand.handBack()
      for (const engine of this.#live) await engine.close()
    })
  }

  async open (options: { concurrency?: number } = {}, log: FastifyBaseLogger = this.#log): Promise<Engine> {
    const engine = this.store.engine(options)
    await engine.open(log)
    this.#live.add(engine)
    return engine
  }

  /** Sets a worker to work. */
  async work (engine: Engine, concurrency?: number): Promise<Hand> {
    const hand = new Hand(concurrency)
    this.#hands.push(hand)
    await engine.work(hand)
    return hand
  }

  /** An engine and a worker that is at work. */
  async start (options: { concurrency?: number } = {}, log?: FastifyBaseLogger): Promise<{ engine: Engine, hand: Hand }> {
    const engine = await this.open(options, log)
    return { engine, hand: await this.work(engine) }
  }

  /** The same, with a task that it is at. */
  async startWithJob (log?: FastifyBaseLogger): Promise<{ engine: Engine, hand: Hand, task: StoredTask, job: Job }> {
    const { engine, hand } = await this.start({}, log)
    const task = aTask()
    await put(engine, task)
    return { engine, hand, task, job: await hand.job(0) }
  }

  async crash (engine: Engine): Promise<void> {
    await this.store.crash(engine)
    this.#live.delete(engine)
  }

  /** As a process shuts down. */
  async shutDown (engine: Engine, hand?: Hand): Promise<void> {
    await engine.stop()
    hand?.handBack()
    await engine.close()
    this.#live.delete(engine)
  }
}

export function aTask (some: Partial<StoredTask> = {}): StoredTask {
  return { id: randomUUID(), name: 'a-task', args: [], reqId: undefined, meta: {}, retries: 0, queuedAt: Date.now(), ...some }
}

export function someTasks (count: number, some: Partial<StoredTask> = {}): StoredTask[] {
  return Array.from({ length: count }, () => aTask(some))
}

/** Stores tasks, each for itself, and lets them start. */
export async function put (engine: Engine, ...tasks: StoredTask[]): Promise<void> {
  for (const task of tasks) await engine.store([task])
  engine.release(idsOf(tasks))
}

export function idsOf (tasks: ReadonlyArray<{ readonly id: string }>): string[] {
  return tasks.map(({ id }) => id)
}

/** What the engine says of a task, once that is so. */
export async function inState (engine: Engine, id: string, state: StoredState): Promise<StoredSnapshot> {
  for (;;) {
    const found = await engine.find(id)
    if (found?.state === state) return found
    await turn()
  }
}

/** Waits until a task is over and done with: completed tasks may not be kept. */
export async function isCompleted (engine: Engine, id: string): Promise<void> {
  for (;;) {
    const found = await engine.find(id)
    if (found === undefined || found.state === 'completed') return
    await turn()
  }
}

function nothing (): void {}

/** What engines log is for their own tests. */
export const SILENT = {
  level: 'silent', silent: nothing, trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing, fatal: nothing, child: () => SILENT
} as unknown as FastifyBaseLogger
