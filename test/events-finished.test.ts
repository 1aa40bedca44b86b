import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import t, { type Test } from 'tap'
import type { FastifyInstance } from 'fastify'
import background from '../lib/index'
import { createApp } from './helpers/app'
import { createDurableApp, durable } from './helpers/durable'
import { turn, until } from './helpers/latch'
import { serve } from './helpers/serve'

t.test('events: each run is finished once, in the state that it ends in', async (t) => {
  const app = await createApp(t, { retries: 1, backoff: { delay: 0 } })
  const lines = record(t, app)
  const fail = (): void => { throw new Error('broken') }
  const define = (name: string, fn: () => unknown, options: object = {}): background.TaskDefinition<[], unknown> => background.defineTask(fn, { name, ...options })
  await serve(app, (reply) => {
    reply.background.addTasks([
      define('completes', () => {}), define('completes later', async () => { await turn() }), define('fails', fail),
      define('has no condition', () => {}, { when: fail }), define('does not start', () => {}, { when: 'error' })
    ])
    reply.background.addTask(define('is cancelled', () => {})).cancel()
  })
  await app.background.idle()

  t.strictSame(lines.sort(), [
    'finished completes completed', 'finished completes later completed', 'finished does not start discarded', 'finished fails failed',
    'finished has no condition failed', 'finished is cancelled cancelled'
  ])
})

t.test('events: a durable run is taken for each attempt, and finished here when its engine has it', async (t) => {
  const task = durable('task', function () { if (this.attempt === 1) throw new Error('broken') }, { retries: 1, backoff: { delay: 0 } })
  const { app, engine } = await createDurableApp(t, { tasks: [task] })
  const lines = record(t, app)
  await app.ready()
  app.background.addTask(task)
  await until(() => engine.outcomes.length === 2)

  t.strictSame(lines, [
    'finished task stored', 'taken task queued', 'finished task stored', 'taken task queued', 'finished task completed'
  ])
})

t.test('events: a durable run that could not be stored is finished', async (t) => {
  const task = durable('task', () => {})
  const { app, engine } = await createDurableApp(t, { tasks: [task] })
  const lines = record(t, app)
  engine.gates.store = () => { throw new Error('away') }
  await app.background.addTask(task).finished()

  t.strictSame(lines, ['finished task failed'])
})

function record (t: Test, app: FastifyInstance): string[] {
  const lines: string[] = []
  for (const name of ['taken', 'finished']) {
    const listener = (message: unknown): void => {
      const { background, run } = message as background.TaskEvent
      if (background === app.background) lines.push(`${name} ${run.name} ${run.state}`)
    }
    subscribe(`fastify.background.task.${name}`, listener)
    t.teardown(() => unsubscribe(`fastify.background.task.${name}`, listener))
  }
  return lines
}
