// What happens when two things happen at once, by hand.
import { EventEmitter } from 'node:events'
import * as bullmq from 'bullmq'
import type { Job } from 'bullmq'
import Fastify from 'fastify'
import t from 'tap'
import { Changes } from '../../lib/engines/bullmq-changes'
import { Consumer } from '../../lib/engines/bullmq-consumer'
import { cancelJob, retryJob } from '../../lib/engines/bullmq-control'
import { insistent } from '../../lib/engines/bullmq-insist'
import { Deliveries } from '../../lib/engines/bullmq-deliveries'
import { postgresServer } from '../../lib/engines/bullmq-postgres'
import { redisServer } from '../../lib/engines/bullmq-redis'
import type { JobEvents, JobQueue, Server } from '../../lib/engines/bullmq-server'
import { latch, until, type Latch } from '../helpers/latch'
import { never } from '../helpers/policies'

const worker = { concurrency: 1, run: async () => { throw new Error('nothing is delivered') }, cancel: () => false }

t.test('D5: a job that BullMQ hands over after the worker was stopped is handed back', async (t) => {
  const calls: string[] = []
  const deliveries = new Deliveries({ bullmq } as unknown as Server, worker, Fastify().log)
  deliveries.stop()
  const job = { moveToWait: async (token: string) => { calls.push(token) } } as unknown as Job

  await t.rejects(deliveries.process(job, 'token'), bullmq.WaitingError)
  t.strictSame(calls, ['token'])
})

for (const [what, error, outcome] of [
  ['somebody has taken', Object.assign(new Error('Job is not in the delayed state'), { code: -3 }), 'cancelled'],
  ['the server does not move', new Error('Connection is closed.'), 'rejected']
] as const) {
  t.test(`R5: a waiting job that ${what} when it is cancelled: ${outcome}`, async (t) => {
    const published: unknown[] = []
    const backend = { forQueue: () => backend, publishEvent: async (event: unknown) => { published.push(event) } }
    const queue = { name: 'queue', getBackend: () => backend } as unknown as JobQueue
    const job = {
      id: 'id', name: 'task', data: { args: [] }, opts: {}, updateData: async () => {}, promote: async () => { throw error }
    } as unknown as Job
    const cancelled = cancelJob({ keeps: () => true } as unknown as Server, queue, { job, state: 'delayed' }, 'enough')
    if (outcome === 'cancelled') t.ok(await cancelled)
    else await t.rejects(cancelled, error)

    t.match(published, [{ id: 'id', reason: 'enough' }])
  })
}

t.test('R5: a job that goes while it is being cancelled or retried could be neither', async (t) => {
  const gone = async (): Promise<never> => { throw Object.assign(new Error('Missing key for job id. updateData'), { code: -1 }) }
  const job = { id: 'id', name: 'task', data: { args: [] }, opts: {}, attemptsMade: 0, stalledCounter: 0, updateData: gone } as unknown as Job
  const server = { keeps: () => true } as unknown as Server

  t.equal(await cancelJob(server, {} as JobQueue, { job, state: 'waiting' }, 'enough'), false)
  t.equal(await retryJob(server, { job, state: 'failed' }), false)
})

t.test('D1: a job that the server has refused among others is an error', async (t) => {
  const refusal = new Error('refused')
  const queue = { getBackend: () => ({ addFlow: async () => [[null, 'id'], [refusal, 0]] }) } as unknown as JobQueue
  await t.rejects(redisServer({}, undefined, 100).add(queue, []), refusal)
})

for (const [what, events, last] of [['no events', [], '0'], ['an event', [['5-0', []]], '5-0']] as const) {
  t.test(`a queue that has had ${what} is read from ${last} on`, async (t) => {
    const client = Promise.resolve({ xrevrange: async () => events })
    const queue = { keys: { events: 'events' }, getBackend: () => ({ client }) } as unknown as JobQueue
    t.equal(await redisServer({}, undefined, 100).lastEvent(queue), last)
  })
}

t.test('D7: connections to PostgreSQL that do not end in time are cut', async (t) => {
  const server = postgresServer({ pool: undefined, url: 'postgres://127.0.0.1:1/none', migrate: false, timeout: 5 })
  const pool = server.producer.connection as EventEmitter & { end: () => Promise<void> }
  pool.end = never
  const cut: string[] = []
  const [gone, left] = ['gone', 'left'].map((name) => ({ connection: { stream: { destroy: () => { cut.push(name) } } } }))
  pool.emit('connect', gone)
  pool.emit('connect', left)
  pool.emit('remove', gone)
  await server.close()

  t.strictSame(cut, ['left'])
})

t.test('D7: a server that goes while it is looked at is not one that is set up wrongly', async (t) => {
  const gone = new Error('Connection terminated')
  const released: string[] = []
  const client = { query: async () => { throw gone }, release: () => { released.push('released') } }
  const pool = Object.assign(new EventEmitter(), { connect: async () => client }) as unknown as bullmq.PgPool
  const server = postgresServer({ pool, url: '', migrate: false, timeout: 5 })

  await t.rejects(server.reach(), gone)
  t.notOk(server.isSetUpWrongly(gone))
  t.strictSame(released, ['released'])
})

for (const [what, error, isTriedAgain] of [
  ['about the job', Object.assign(new Error('Missing lock'), { code: -2 }), false],
  ['that it does not take it', Object.assign(new Error('too long'), { code: '54000' }), false],
  ['anything else', Object.assign(new Error('terminated'), { code: '57P01' }), true]
] as const) {
  for (const write of ['moveToCompleted', 'moveToFailed'] as const) {
    t.test(`R2: ${write}: where the server says ${what}, BullMQ ${isTriedAgain ? 'tries again' : 'lets go'}`, async (t) => {
      const reported: unknown[] = []
      const lost: string[] = []
      const job = insistentJob(async () => { throw error }, { report: (error) => { reported.push(error) }, lost: (id) => { lost.push(id) } })

      await t.rejects(job[write](error, 'token'), isTriedAgain ? { message: 'Connection is closed.', cause: error } : error)
      t.strictSame(reported, isTriedAgain ? [error] : [])
      t.strictSame(lost, what === 'about the job' ? ['id'] : [])
    })
  }
}

t.test('R2: an outcome that another transaction was in the way of is written again at once', async (t) => {
  const conflict = Object.assign(new Error('deadlock detected'), { code: '40P01' })
  let tries = 0
  const write = async (): Promise<string> => {
    if (++tries < 3) throw conflict
    return 'written'
  }
  const job = insistentJob(write, { report: () => { t.fail('it is no trouble') }, lost: () => {} })

  t.equal(await job.moveToCompleted('result', 'token') as unknown, 'written')
})

/** A job that is written by this function. */
function insistentJob (write: () => Promise<unknown>, listeners: Parameters<typeof insistent>[2]): Job {
  class FakeJob {
    readonly id = 'id'
    moveToCompleted (): Promise<unknown> { return write() }
    moveToFailed (): Promise<unknown> { return write() }
  }
  const server = postgresServer({ pool: undefined, url: 'postgres://127.0.0.1:1/none', migrate: false, timeout: 5 })
  const Insistent = insistent({ Job: FakeJob } as never, server, listeners)
  return new (Insistent as unknown as new () => Job)()
}

/** One of BullMQ's loops, whose steps wait for the test. */
class Runner extends EventEmitter {
  readonly ready = latch()
  readonly ended = latch()
  readonly released = latch()
  ran = 0
  async waitUntilReady (): Promise<void> { await this.ready }
  async run (): Promise<void> {
    this.ran++
    await this.ended
  }

  async close (): Promise<never> { throw new Error('it is closed already') }
  getBackend (): this { return this }
}

interface Bench { consumer: Consumer<JobEvents>, runners: Runner[], reached: Latch, made: Latch, errors: unknown[] }

function consume ({ waitsForServer = false, waitsForRunner = false } = {}): Bench {
  const [reached, made] = [latch(), latch()]
  const runners: Runner[] = []
  const errors: unknown[] = []
  const server = {
    reach: async () => { if (waitsForServer) await reached },
    release: async (runner: Runner) => { runner.released.open() }
  }
  const consumer = new Consumer<JobEvents>(server as unknown as Server, async () => {
    const runner = new Runner()
    runners.push(runner)
    if (waitsForRunner) await made
    return runner as unknown as JobEvents
  }, (error) => { errors.push(error) })
  return { consumer, runners, reached, made, errors }
}

t.test('L2: a loop that is stopped before its server is there is not made', async (t) => {
  const { consumer, runners, reached } = consume({ waitsForServer: true })
  consumer.stop()
  reached.open()
  await consumer.close()

  t.equal(runners.length, 0)
})

t.test('L2: a loop that is closed while it is made is released', async (t) => {
  const { consumer, runners, made } = consume({ waitsForRunner: true })
  await until(() => runners.length === 1)
  await consumer.close()
  made.open()
  await runners[0].released

  t.equal(runners[0].ran, 0)
})

t.test('L2: a loop that is stopped before it is ready does not run', async (t) => {
  const { consumer, runners } = consume()
  await until(() => runners.length === 1)
  consumer.stop()
  runners[0].ready.open()
  await consumer.close()

  t.equal(runners[0].ran, 0)
})

t.test('D7: a loop that has ended by itself is released, and another one is made', async (t) => {
  const { consumer, runners, errors } = consume()
  await until(() => runners.length === 1)
  runners[0].ready.open()
  await consumer.started
  runners[0].emit('error', 'trouble')
  runners[0].ended.open()
  await runners[0].released
  await until(() => runners.length === 2)
  await consumer.close()

  t.equal(runners[0].ran, 1)
  t.strictSame(errors, ['trouble'])
})

function watching (last: () => Promise<string>): { changes: Changes, made: Array<Runner & { from?: string }> } {
  const made: Array<Runner & { from?: string }> = []
  class QueueEvents extends Runner {
    constructor (_name: string, readonly options: { lastEventId: string }) {
      super()
      made.push(Object.assign(this, { from: options.lastEventId }))
    }
  }
  const server = { consumer: {}, classes: { QueueEvents }, reach: async () => {}, release: async () => {} }
  return { made, changes: new Changes(server as unknown as Server, 'queue', last, () => {}) }
}

t.test('changes: a loop that is made anew goes on behind the last event that was told, and tells none twice', async (t) => {
  const { changes, made } = watching(async () => '5')
  const told: unknown[] = []
  changes.watch(({ id }) => told.push(id))
  await until(() => made.length === 1)
  made[0].ready.open()
  made[0].emit('active', { jobId: 'a' }, '7')
  made[0].ended.open()
  await until(() => made.length === 2)
  await changes.close()

  t.strictSame(made.map(({ from }) => from), ['5', '7'])
  t.strictSame(told, ['a'])
})

t.test('changes: where the server was away at watch, it is asked again when it is there, and never read from "now" on', async (t) => {
  const answers: Array<() => string> = [() => { throw new Error('away') }, () => '9']
  const { changes, made } = watching(async () => answers.shift()!())
  changes.watch(() => {})
  await changes.begun
  await until(() => made.length === 1)
  await changes.close()

  t.equal(made[0].from, '9')
})

t.test('changes: a job that has failed with the reason of a cancelled one was cancelled', async (t) => {
  const { changes, made } = watching(async () => '0')
  const told: unknown[] = []
  changes.watch(({ id, state }) => told.push([id, state]))
  await until(() => made.length === 1)
  made[0].emit('failed', { jobId: 'a', failedReason: 'Error: broken' }, '1')
  made[0].emit('failed', { jobId: 'b', failedReason: '[cancelled] no longer needed' }, '2')
  await changes.close()

  t.strictSame(told, [['a', 'failed'], ['b', 'cancelled']])
})
