import t, { type Test } from 'tap'
import type background from '../lib/index'
import { createApp, memoryLogger } from './helpers/app'
import { counts } from './helpers/counts'
import { revoked, trap } from './helpers/hostile'
import { turn } from './helpers/latch'
import { serve } from './helpers/serve'
import { unhandledRejections } from './helpers/unhandled'

const ERROR = 50 // pino's level

const thrown: Record<string, () => unknown> = {
  'an error': () => new Error('broken'),
  'an error with an endless chain of causes': () => endless(),
  'a frozen error': () => Object.freeze(new Error('broken')),
  'an error whose getters throw': () => withThrowingGetters(),
  'an error that is a proxy whose traps throw': () => new Proxy(new Error('broken'), { get: trap, has: trap, ownKeys: trap, getPrototypeOf: trap }),
  'a revoked proxy': () => revoked(),
  'an object that holds itself': () => holdingItself(),
  'a string': () => 'broken',
  'an empty string': () => '',
  'a number': () => 0,
  'a symbol': () => Symbol('broken'),
  'a bigint': () => 1n,
  'a function': () => trap,
  undefined: () => undefined,
  null: () => null
}

for (const [what, make] of Object.entries(thrown)) {
  t.test(`R3: a task that throws ${what} fails, and nothing else happens`, async (t) => {
    await failsAlone(t, make(), (error) => () => { throw error })
  })

  t.test(`R3: a task that rejects with ${what} fails, and nothing else happens`, async (t) => {
    await failsAlone(t, make(), (error) => async () => {
      await turn()
      throw error
    })
  })
}

t.test('R3: a task whose thenable throws in then fails, and nothing else happens', async (t) => {
  const error = new Error('broken')
  await failsAlone(t, error, () => () => thenable(() => { throw error }))
})

t.test('R3: a task whose thenable has a then that cannot be read fails, and nothing else happens', async (t) => {
  const error = new Error('broken')
  await failsAlone(t, error, () => () => Object.defineProperty({}, 'then', { get () { throw error } }))
})

t.test('R3: a task whose thenable rejects more than once fails once', async (t) => {
  const error = new Error('broken')
  await failsAlone(t, error, () => () => thenable((resolve, reject) => {
    reject(error)
    reject(new Error('second'))
    resolve('third')
    throw new Error('fourth')
  }))
})

t.test('R3: a task whose thenable resolves with one that rejects fails, and nothing else happens', async (t) => {
  const error = new Error('broken')
  await failsAlone(t, error, () => () => thenable((resolve) => resolve(thenable((_resolve, reject) => reject(error)))))
})

t.test('R3: a task whose thenable resolves and then does other things is completed once', async (t) => {
  const unhandled = unhandledRejections(t)
  const { logger, lines } = memoryLogger('error')
  const errors: unknown[] = []
  const app = await createApp(t, { onTaskError: (error) => { errors.push(error) } }, { logger })
  let run!: background.TaskRun
  await serve(app, (reply) => {
    run = reply.background.addTask(() => thenable((resolve, reject) => {
      resolve('first')
      resolve('second')
      reject(new Error('third'))
      throw new Error('fourth')
    }))
  })
  await app.background.idle()
  await turn()

  t.equal(run.state, 'completed')
  t.equal(run.result, 'first')
  t.strictSame(app.background.stats(), counts({ accepted: 1, completed: 1 }))
  t.strictSame([lines, errors, unhandled], [[], [], []])
})

t.test('R3: the error is on the log line as it was', async (t) => {
  const { logger, lines } = memoryLogger('error')
  const app = await createApp(t, {}, { logger })
  await serve(app, (reply) => {
    reply.background.addTask(() => { throw Object.assign(new RangeError('broken'), { code: 'E_BROKEN' }) })
    reply.background.addTask(() => { throw 'text' }) // eslint-disable-line no-throw-literal
  })
  await app.background.idle()

  t.match(lines, [
    { err: { type: 'RangeError', message: 'broken', code: 'E_BROKEN', stack: /run-errors/ }, msg: 'background task failed' },
    { err: 'text', msg: 'background task failed' }
  ])
})

t.test('R3: a task outside a request fails through the logger of the application', async (t) => {
  const { logger, lines } = memoryLogger('error')
  const app = await createApp(t, {}, { logger })
  const run = app.background.addTask(function broken () { throw new Error('broken') })
  await app.background.idle()

  t.match(lines, [{ level: ERROR, err: { message: 'broken' }, task: 'broken', taskId: run.id }])
  t.equal(lines.length, 1)
  t.notOk('reqId' in lines[0])
})

t.test('R3: the run has ended when its line is written, and the line is written when onTaskError is called', async (t) => {
  const events: unknown[] = []
  let run!: background.TaskRun
  const note = (what: string): void => { events.push([what, run.state, run.finishedAt !== undefined, app.background.stats().failed]) }
  const app = await createApp(t, { onTaskError: () => note('onTaskError') }, {
    logger: { level: 'error', stream: { write: () => note('line') } }
  })
  await serve(app, (reply) => {
    run = reply.background.addTask(() => { throw new Error('broken') })
    reply.background.addTask(() => note('next'))
  })
  await app.background.idle()

  t.strictSame(events, [['line', 'failed', true, 1], ['onTaskError', 'failed', true, 1], ['next', 'failed', true, 1]])
})

/** One reply with a task that fails with `error`, then one that goes on: everything that R3 says of it. */
async function failsAlone (t: Test, error: unknown, failing: (error: unknown) => () => unknown): Promise<void> {
  const unhandled = unhandledRejections(t)
  const { logger, lines } = memoryLogger('error')
  const calls: unknown[][] = []
  const handled: unknown[] = []
  const app = await createApp(t, { onTaskError: (...args) => { calls.push(args) } }, { logger })
  app.setErrorHandler((error) => { handled.push(error) })
  let run!: background.TaskRun
  let next!: background.TaskRun
  let requestId: string | undefined
  const response = await serve(app, (reply, request) => {
    requestId = request.id
    const task = Object.defineProperty(failing(error), 'name', { value: 'failing' })
    run = reply.background.addTask(task)
    next = reply.background.addTask(() => 'went on')
  })
  await app.background.idle()
  await turn()

  t.equal(run.state, 'failed')
  t.ok(Object.is(run.error, error), 'the run has the error itself')
  t.equal(lines.length, 1, 'it is logged once')
  t.match(lines[0], { level: ERROR, task: 'failing', taskId: run.id, reqId: requestId })
  t.equal(calls.length, 1, 'onTaskError is called once')
  t.equal(calls[0].length, 2)
  t.ok(Object.is(calls[0][0], error), 'with the error')
  t.equal(calls[0][1], run)
  t.equal(next.result, 'went on')
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 1, failed: 1 }))
  t.equal(response.statusCode, 200)
  t.equal(response.body, 'ok')
  t.equal(handled.length, 0, 'setErrorHandler is not called')
  t.equal(unhandled.length, 0, 'nothing is an unhandled rejection')
}

type Then = (resolve: (value: unknown) => void, reject: (error: unknown) => void) => void

function thenable (then: Then): PromiseLike<unknown> {
  return { then } as PromiseLike<unknown>
}

function withThrowingGetters (): Error {
  const getter = { get: trap, enumerable: true }
  // A stack of its own: V8 would make one, with the other properties, while they are defined.
  return Object.defineProperties(Object.assign(new Error('broken'), { stack: '' }), { message: getter, stack: getter, name: getter, code: getter, cause: getter })
}

function endless (): Error {
  const error = new Error('broken')
  error.cause = error
  return error
}

function holdingItself (): object {
  const object: Record<string, unknown> = {}
  object.itself = object
  return object
}
