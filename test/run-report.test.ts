import t, { type Test } from 'tap'
import type { FastifyBaseLogger, FastifyServerOptions } from 'fastify'
import type background from '../lib/index'
import { createApp, memoryLogger } from './helpers/app'
import { counts } from './helpers/counts'
import { turn } from './helpers/latch'
import { serve } from './helpers/serve'
import { unhandledRejections } from './helpers/unhandled'

t.test('R3: a log stream that throws harms nothing', async (t) => {
  let written = 0
  await harmless(t, {}, {
    logger: {
      level: 'error',
      stream: {
        write () {
          written++
          throw new Error('no stream')
        }
      }
    }
  })
  t.ok(written > 0, 'the stream was written to')
})

t.test('R3: a logger that throws harms nothing', async (t) => {
  let called = 0
  function broken (): never {
    called++
    throw new Error('no logger')
  }
  const nothing = (): void => {}
  const loggerInstance = {
    level: 'info', info: nothing, debug: nothing, trace: nothing, silent: nothing, warn: broken, error: broken, fatal: broken, child: () => loggerInstance
  } as unknown as FastifyBaseLogger
  await harmless(t, {}, { loggerInstance })
  t.ok(called > 0, 'the logger was called')
})

t.test('R3: where a serializer throws, one line says the failure without the error', async (t) => {
  const { logger, lines } = memoryLogger('error')
  const serializers = { err () { throw new Error('no serializer') } }
  const run = await harmless(t, {}, { logger: { ...(logger as object), serializers } })

  t.match(lines, [{ level: 50, task: 'failing', taskId: run.id, reqId: 'req-1' }])
  t.equal(lines.length, 1)
  t.notOk('err' in lines[0])
})

const handlers: Record<string, () => unknown> = {
  throws: () => { throw new Error('no handler') },
  'throws undefined': () => { throw undefined }, // eslint-disable-line no-throw-literal
  rejects: async () => { throw new Error('no handler') },
  'returns a thenable that throws': () => ({ then () { throw new Error('no handler') } }),
  'returns something whose then cannot be read': () => Object.defineProperty({}, 'then', { get () { throw new Error('no handler') } })
}

for (const [what, handler] of Object.entries(handlers)) {
  t.test(`R3: an onTaskError that ${what} is called once, logged, and harms nothing`, async (t) => {
    const { logger, lines } = memoryLogger('error')
    let calls = 0
    const run = await harmless(t, {
      onTaskError () {
        calls++
        return handler() as void
      }
    }, { logger })

    t.equal(calls, 1)
    t.match(lines, [
      { level: 50, msg: 'background task failed', task: 'failing', taskId: run.id, reqId: 'req-1' },
      { level: 50, msg: 'onTaskError failed', task: 'failing', taskId: run.id, reqId: 'req-1' }
    ])
    t.equal(lines.length, 2)
  })
}

t.test('R3: onTaskError is called even where the logger throws', async (t) => {
  const errors: unknown[] = []
  const run = await harmless(t, { onTaskError: (error) => { errors.push(error) } }, {
    logger: { level: 'error', stream: { write () { throw new Error('no stream') } } }
  })
  t.equal(errors.length, 1)
  t.equal(errors[0], run.error)
})

t.test('R3: onTaskError and the logger both throw, and nothing is harmed', async (t) => {
  let calls = 0
  await harmless(t, { onTaskError () { calls++; throw new Error('no handler') } }, {
    logger: { level: 'error', stream: { write () { throw new Error('no stream') } } }
  })
  t.equal(calls, 1)
})

t.test('R3: the next task does not wait for what onTaskError does', async (t) => {
  const app = await createApp(t, { onTaskError: () => new Promise<void>(() => {}) })
  const ran: string[] = []
  await serve(app, (reply) => {
    reply.background.addTask(() => { throw new Error('broken') })
    reply.background.addTask(() => { ran.push('next') })
  })
  await app.background.idle()

  t.strictSame(ran, ['next'])
})

t.test('R3: onTaskError is not called for a task that completes', async (t) => {
  const errors: unknown[] = []
  const app = await createApp(t, { onTaskError: (error) => { errors.push(error) } })
  await serve(app, (reply) => { reply.background.addTask(async () => 'done') })
  await app.background.idle()
  await turn()

  t.strictSame(errors, [])
  t.match(app.background.stats(), { completed: 1 })
})

t.test('the log of a task is a child of the request\'s, with its name and id', async (t) => {
  const { logger, lines } = memoryLogger('warn')
  const app = await createApp(t, {}, { logger })
  let run!: background.TaskRun
  await serve(app, (reply) => {
    run = reply.background.addTask(function speaking () { this.log.warn('hello') })
  })
  await app.background.idle()

  t.match(lines, [{ msg: 'hello', reqId: 'req-1', task: 'speaking', taskId: run.id }])
  t.equal(lines.length, 1)
})

t.test('the log of a task outside a request is a child of the application\'s, with its name and id', async (t) => {
  const { logger, lines } = memoryLogger('warn')
  const app = await createApp(t, {}, { logger })
  const run = app.background.addTask(function speaking () { this.log.warn('hello') })
  await app.background.idle()

  t.match(lines, [{ msg: 'hello', task: 'speaking', taskId: run.id }])
  t.equal(lines.length, 1)
  t.notOk('reqId' in lines[0])
})

/** Lets one task of a reply fail: the reply, the task and the next one are what they are without anything to report to. */
async function harmless (
  t: Test, options: background.BackgroundOptions, server: FastifyServerOptions
): Promise<background.TaskRun> {
  const unhandled = unhandledRejections(t)
  const app = await createApp(t, options, server)
  let run!: background.TaskRun
  let next!: background.TaskRun
  const response = await serve(app, (reply) => {
    run = reply.background.addTask(async function failing () { throw new Error('broken') })
    next = reply.background.addTask(() => 'went on')
  })
  await app.background.idle()
  await turn()

  t.equal(response.statusCode, 200)
  t.equal(run.state, 'failed')
  t.equal((run.error as Error).message, 'broken')
  t.equal(next.result, 'went on')
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 1, failed: 1 }))
  t.strictSame(unhandled, [])
  return run
}
