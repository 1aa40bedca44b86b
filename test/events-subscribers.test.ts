import { channel, tracingChannel } from 'node:diagnostics_channel'
import t from 'tap'
import type { FastifyInstance, FastifyReply } from 'fastify'
import background from '../lib/index'
import { createApp } from './helpers/app'
import { counts } from './helpers/counts'
import { latch, turn, until } from './helpers/latch'
import { never } from './helpers/policies'
import { manyTurns } from './helpers/reply'
import { serve } from './helpers/serve'
import { channelOf, EVENTS, record, watch, type AnyEvent } from './helpers/task-events'
import { uncaughtExceptions } from './helpers/unhandled'

const { defineTask } = background
const broken = new Error('broken')
const AGAIN = { retries: 1, backoff: { delay: 0 } }

t.test('events: a subscriber may add tasks, at every event', async (t) => {
  for (const name of EVENTS) {
    const app = await createApp(t, { concurrency: 1 })
    const added: background.TaskRun[] = []
    const runs = await everyEvent(app, (reply) => {
      watch(t, name, ({ background }) => {
        if (background !== app.background || added.length > 0) return
        // What this publishes itself is to find it done.
        added.length = 2
        added.splice(0, 2, reply.background.addTask(() => {}), app.background.addTask(() => {}))
      })
    })

    t.strictSame(added.map((run) => run.state), ['completed', 'completed'], name)
    t.strictSame(runs.map((run) => run.state), ['completed', 'failed', 'discarded', 'cancelled'], name)
    t.strictSame(app.background.stats(), counts({ accepted: 6, completed: 3, failed: 1, discarded: 1, cancelled: 1 }), name)
  }
})

t.test('R3: a subscriber that throws raises an uncaughtException, and harms no run', async (t) => {
  const uncaught = uncaughtExceptions(t)
  const app = await createApp(t, { concurrency: 1 })
  const { lines } = record(t, app)
  const runs = await everyEvent(app, () => {
    for (const name of EVENTS) watch(t, name, () => { throw new Error(`${name} subscriber`) })
  })
  await manyTurns()

  t.strictSame(runs.map((run) => run.state), ['completed', 'failed', 'discarded', 'cancelled'])
  t.strictSame(app.background.stats(), counts({ accepted: 4, completed: 1, failed: 1, discarded: 1, cancelled: 1 }))
  t.strictSame(uncaught.map((error) => (error as Error).message), lines().map((line) => `${line.split(' ')[0]} subscriber`))
  t.strictSame(new Set(lines().map((line) => line.split(' ')[0])), new Set(EVENTS), 'every event has come')
})

t.test('events: who subscribes or leaves while an attempt is at work sees the next one', async (t) => {
  const app = await createApp(t)
  const gates = [latch(), latch(), latch()]
  const run = app.background.addTask(defineTask(async function () {
    await gates[this.attempt - 1]
    throw broken
  }, { retries: 2, backoff: { delay: 0 } }))
  await until(() => run.attempt === 1)
  const attempts: Array<number | undefined> = []
  const tracing = tracingChannel('fastify.background.task')
  const note = (message: unknown): void => { attempts.push((message as AnyEvent).attempt) }
  const subscribers = { start: note, end: note, error: note, asyncStart: note, asyncEnd: note }
  tracing.subscribe(subscribers)
  gates[0].open()
  await until(() => run.attempt === 2)
  t.strictSame(attempts.splice(0), [2, 2], 'nothing of the first attempt, start and end of the second')

  tracing.unsubscribe(subscribers)
  gates[1].open()
  await until(() => run.attempt === 3)
  gates[2].open()
  await run.finished()
  t.strictSame(attempts, [])
  t.equal(run.error, broken)
})

t.test('events: two applications are told apart by their background', async (t) => {
  const [one, other] = [await createApp(t), await createApp(t)]
  const events: AnyEvent[] = []
  for (const name of EVENTS) watch(t, name, (event) => events.push(event))
  const [task, otherTask] = [one.background.addTask(async () => {}), other.background.addTask(async () => {})]
  await Promise.all([task.finished(), otherTask.finished()])
  await turn()

  t.equal(events.length, 10)
  t.ok(events.every(({ background, run }) => background === (run === task ? one : other).background))
})

t.test('events: nothing is published while nobody subscribes', async (t) => {
  const published: string[] = []
  for (const name of EVENTS) {
    const each = channel(channelOf(name))
    for (const method of ['publish', 'runStores'] as const) {
      Object.defineProperty(each, method, {
        configurable: true,
        value (...args: unknown[]) {
          published.push(name)
          const own = Object.getPrototypeOf(this)[method] as (...args: unknown[]) => unknown
          return own.apply(this, args)
        }
      })
      t.teardown(() => Reflect.deleteProperty(each, method))
    }
  }
  const app = await createApp(t, { concurrency: 1 })
  await everyEvent(app)
  t.strictSame(published, [])

  const again = await createApp(t, { concurrency: 1 })
  await everyEvent(again, () => { record(t, again) })
  t.strictSame(new Set(published), new Set(EVENTS), 'with subscribers')
})

/** Makes runs of a reply that bring every event, and waits for their end: completed, failed, discarded and cancelled. */
async function everyEvent (app: FastifyInstance, prepare: (reply: FastifyReply) => void = () => {}): Promise<background.TaskRun[]> {
  const runs: background.TaskRun[] = []
  await serve(app, (reply) => {
    prepare(reply)
    runs.push(
      reply.background.addTask(async function () { this.progress(1) }),
      reply.background.addTask(defineTask(() => { throw broken }, AGAIN)),
      reply.background.addTask(defineTask(() => {}, { when: 'error' })),
      reply.background.addTask(never))
  })
  await until(() => runs[3].state === 'active')
  runs[3].cancel()
  await app.background.idle()
  return runs
}
