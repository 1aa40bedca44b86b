import type { BackoffStrategy, Job } from 'bullmq'
import type { FastifyBaseLogger } from 'fastify'
import type { Cancel } from './bullmq-cancels'
import { cancel, fail, JobError, toCancelError } from './bullmq-failure'
import { attemptsMadeOf, cancelReasonOf, defectOf, restartsOf, roundOf, toTask, type JobData } from './bullmq-job'
import { ProgressWriter } from './bullmq-progress'
import { Recent } from './bullmq-recent'
import type { Server } from './bullmq-server'
import { stripped } from './bullmq-stripped'
import type { EngineWorker, Outcome } from './engine'
import { toStoredError } from './stored-error'

const MAX_REMEMBERED = 1_000

interface AtWork {
  readonly round: number
  readonly outcome: Promise<Outcome>
  /** Of the delivery that is to write the outcome. */
  token: string
}

interface Unwritten {
  readonly round: number
  readonly attempt: number
  readonly outcome: Outcome
}

/** What BullMQ delivers to this process, on its way to the plugin and back. */
export class Deliveries {
  readonly #server: Server
  readonly #worker: EngineWorker
  readonly #log: FastifyBaseLogger
  readonly #atWork = new Map<string, AtWork>()
  // Cancels that came before their task. Most are of tasks that are at work elsewhere.
  readonly #early = new Recent<string>(MAX_REMEMBERED)
  readonly #unwritten = new Recent<Unwritten>(MAX_REMEMBERED)
  readonly #writing = new Set<string>()
  #isStopped = false

  constructor (server: Server, worker: EngineWorker, log: FastifyBaseLogger) {
    this.#server = server
    this.#worker = worker
    this.#log = log
  }

  /** What BullMQ gets as its processor. */
  readonly process = async (job: Job, token?: string): Promise<unknown> => {
    // BullMQ hands one more over when it was already waiting for it.
    if (this.#isStopped) return await this.#handBack(job, token, 0)
    const defect = defectOf(job)
    if (defect !== undefined) throw this.#refuse(job, defect)
    const reason = cancelReasonOf(job) ?? this.#early.get(keyOf(job.id as string, roundOf(job)))
    if (reason !== undefined) throw cancel(job, toCancelError(reason), attemptsMadeOf(job))
    return await this.#deliver(job, job.id as string, token as string)
  }

  /** What it gets as its backoff strategy: the plugin decides. */
  readonly backoff = (...[, , error]: Parameters<BackoffStrategy>): number => (error as JobError).retryIn as number

  cancel ({ id, round, reason }: Cancel): void {
    const atWork = this.#atWork.get(id)
    if (atWork?.round === round) {
      this.#worker.cancel(id, reason)
      return
    }
    // It may be on its way to us, read before it was marked as cancelled.
    this.#early.set(keyOf(id, round), reason)
  }

  /** BullMQ has written the outcome of a task. */
  written (id: string): void {
    this.#unwritten.delete(id)
    this.#writing.delete(id)
  }

  /** A task is not ours any more: its outcome has been written, without a word of that, or somebody else has the task. */
  lost (id: string): void {
    this.#writing.delete(id)
  }

  /** How many outcomes are being written. */
  get writing (): number {
    return this.#writing.size
  }

  /** What comes from here on is handed back. */
  stop (): void {
    this.#isStopped = true
  }

  /** Resolves when everything at work has an outcome. */
  async idle (): Promise<void> {
    await Promise.all(Array.from(this.#atWork.values(), ({ outcome }) => outcome))
  }

  // A server that was away may have forgotten who has a task, and gives it again. It is not run twice for that: the
  // outcome of the one run is written with the lock that counts.
  async #deliver (job: Job<JobData>, id: string, token: string): Promise<unknown> {
    const round = roundOf(job)
    const attempt = attemptsMadeOf(job) + 1
    const known = this.#unwritten.get(id)
    if (known?.round === round && known.attempt === attempt) return await this.#settle(job, token, known.outcome)
    let atWork = this.#atWork.get(id)
    if (atWork === undefined) {
      atWork = { round, outcome: this.#run(job, attempt), token }
      this.#atWork.set(id, atWork)
    } else {
      atWork.token = token
    }
    const outcome = await atWork.outcome
    this.#atWork.delete(id)
    if (atWork.token !== token) throw new this.#server.bullmq.WaitingError()
    if (outcome.state !== 'returned') {
      this.#unwritten.set(id, { round, attempt, outcome })
      this.#writing.add(id)
    }
    return await this.#settle(job, token, outcome)
  }

  async #run (job: Job<JobData>, attempt: number): Promise<Outcome> {
    const writer = new ProgressWriter((progress) => job.updateProgress(progress))
    const outcome = await this.#worker.run({
      task: toTask(job),
      attempt,
      restarts: restartsOf(job),
      progress: (progress) => writer.set(progress)
    })
    writer.end()
    return outcome
  }

  async #settle (job: Job, token: string, outcome: Outcome): Promise<unknown> {
    switch (outcome.state) {
      case 'completed':
        return this.#toJson(job, outcome.result)
      case 'failed':
        throw this.#fail(job, outcome.error, outcome.retryIn)
      case 'cancelled':
        throw cancel(job, toCancelError(outcome.reason), attemptsMadeOf(job) + 1)
      case 'returned':
        return await this.#handBack(job, token, outcome.delay)
    }
  }

  #fail (job: Job, error: unknown, retryIn: number | undefined): JobError {
    if (retryIn !== undefined) {
      // Whatever the job came with: it is the plugin that counts the attempts.
      job.opts.attempts = job.attemptsMade + 2
      job.opts.backoff = { type: 'plugin' }
    }
    return fail(job, toStoredError(error), attemptsMadeOf(job) + 1, retryIn)
  }

  /** Makes the job wait again, without costing an attempt. */
  async #handBack (job: Job, token: string | undefined, delay: number): Promise<never> {
    try {
      if (delay === 0) await job.moveToWait(token)
      else await job.moveToDelayed(Date.now() + delay, token)
    } catch (error) {
      // Whoever looks for stalled jobs gives it to somebody.
      this.#log.warn({ err: stripped(error), task: job.name, taskId: job.id }, 'bullmq: a task could not be handed back, it is started again later')
    }
    // Tells BullMQ that it has been moved.
    throw new this.#server.bullmq.WaitingError()
  }

  #refuse (job: Job, defect: string): JobError {
    this.#log.error({ task: job.name, taskId: job.id }, `bullmq: a job is not a task, it has failed: ${defect}`)
    return fail(job, { name: 'Error', message: `not a task: ${defect}` }, job.attemptsMade)
  }

  #toJson (job: Job, result: unknown): unknown {
    if (this.#isKept(result)) return result
    this.#log.warn({ task: job.name, taskId: job.id }, 'bullmq: the result of a task is no JSON that the server can keep, it is lost')
    return undefined
  }

  #isKept (result: unknown): boolean {
    try {
      return this.#server.keeps(String(JSON.stringify(result)))
    } catch {
      return false
    }
  }
}

function keyOf (id: string, round: number): string {
  return `${id}:${round}`
}
