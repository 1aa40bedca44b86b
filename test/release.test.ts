import { AsyncLocalStorage } from 'node:async_hooks'
import t, { type Test } from 'tap'
import type { FastifyReply } from 'fastify'
import background from '../lib/index'
import { createApp, listen } from './helpers/app'
import { counts } from './helpers/counts'
import { isCollected } from './helpers/gc'
import { ask, assertCollected, use } from './helpers/held'
import { latch, turn, until } from './helpers/latch'
import { MINUTE, never } from './helpers/policies'
import { head, rawClient } from './helpers/tcp'

const { BackgroundTask, BackgroundTasks } = background

/** Gives tasks to a reply, and returns the runs that the test goes on to hold. */
type Add = (reply: FastifyReply, argument: object) => background.TaskRun[]

t.test('R6: a completed run holds neither request, reply nor arguments', async (t) => {
  await letsGo(t, ['completed', 'completed'], (reply, argument) => [
    reply.background.addTask(use, argument, reply),
    reply.background.addTask(new BackgroundTask(async (argument: object, reply: FastifyReply) => {
      await turn()
      use(argument, reply)
    }, argument, reply))
  ])
})

t.test('R6: a failed run holds neither request, reply nor arguments', async (t) => {
  await letsGo(t, ['failed'], (reply, argument) => [
    reply.background.addTask((argument: object, reply: FastifyReply) => {
      use(argument, reply)
      throw new Error('broken')
    }, argument, reply)
  ], { onTaskError: () => {} })
})

t.test('R6: a discarded run holds neither request, reply nor arguments', async (t) => {
  await letsGo(t, ['discarded'], (reply, argument) => [reply.background.addTask(use, argument, reply)], { when: 'error' })
})

t.test('R6: a run whose condition threw holds neither request, reply nor arguments', async (t) => {
  const when = (): boolean => { throw new Error('no condition') }
  await letsGo(t, ['failed'], (reply, argument) => [reply.background.addTask(use, argument, reply)], { when })
})

t.test('R6: a run whose definition has a condition of its own holds neither request, reply nor arguments', async (t) => {
  await letsGo(t, ['completed'], (reply, argument) => [
    reply.background.addTask(background.defineTask(use, { when: () => reply.statusCode === 200 }), argument, reply)
  ])
})

t.test('R6: the runs of a group hold neither request, reply nor arguments', async (t) => {
  await letsGo(t, ['completed', 'failed', 'discarded'], (reply, argument) => reply.background.addTasks(
    new BackgroundTasks([], { onFailure: 'stop' })
      .addTask(use, argument, reply)
      .addTask(() => { throw new Error('broken') })
      .addTask(use, argument, reply)))
})

t.test('R6: a run that was asked for its end holds nothing of the place where it was asked', async (t) => {
  const store = new AsyncLocalStorage<object>()
  await letsGo(t, ['completed'], (reply, argument) => [store.run({ reply }, () => {
    const run = reply.background.addTask(use, argument, reply)
    run.finished()
    return run
  })])
})

t.test('R6: a run that was asked for its id and its end holds neither request, reply nor arguments', async (t) => {
  await letsGo(t, ['completed'], (reply, argument) => {
    const run = reply.background.addTask(use, argument, reply)
    t.type(run.id, 'string')
    run.finished()
    return [run]
  })
})

t.test('R6: the context of a finished run holds neither request, reply nor arguments', async (t) => {
  const contexts: background.TaskContext[] = []
  await letsGo(t, ['completed'], (reply, argument) => [
    reply.background.addTask(function (argument, reply) {
      this.log.info('at work')
      contexts.push(this)
      use(argument, reply)
    }, argument, reply)
  ])
  t.equal(contexts.length, 1)
})

t.test('R6: a run that shutdown has cancelled, whose function never ends, holds neither request, reply nor arguments', async (t) => {
  const app = await createApp(t, { closeTimeout: 0 })
  const runs: background.TaskRun[] = []
  const held = await ask(app, (reply, argument) => {
    // The function forgets what it was called with: only the run could hold it.
    runs.push(reply.background.addTask((argument: object, reply: FastifyReply) => {
      use(argument, reply)
      return new Promise<never>(() => {})
    }, argument, reply))
    runs.push(reply.background.addTask(use, argument, reply))
    return runs
  })
  await until(() => runs[0].state === 'active')
  await app.close()

  t.strictSame(runs.map((run) => run.state), ['cancelled', 'discarded'])
  await assertCollected(t, held)
})

t.test('R6: turns of the dispatcher hold nothing of the place that asked for the first', async (t) => {
  const app = await createApp(t)
  let isOver = false
  function again (): void {
    if (!isOver) app.background.addTask(again)
  }
  const held = addInStore(app)
  app.background.addTask(again)

  t.ok(await isCollected(held))
  isOver = true
})

t.test('R6: a run that took the place of another holds nothing of the place that added that', async (t) => {
  const app = await createApp(t, { concurrency: 1 })
  const held = addInStore(app)
  const next = app.background.addTask(background.defineTask(never, { name: 'slow', timeout: MINUTE }))
  await until(() => next.state === 'active')

  t.ok(await isCollected(held))
  next.cancel()
})

/** Adds a task in a store that nothing else holds. */
function addInStore (app: Awaited<ReturnType<typeof createApp>>): WeakRef<object> {
  const store = {}
  new AsyncLocalStorage<object>().run(store, () => app.background.addTask(async () => {}))
  return new WeakRef(store)
}

t.test('R6: the function of a route does not make its run hold request or reply', async (t) => {
  const app = await createApp(t)
  const ids: string[] = []
  const refs: Array<WeakRef<object>> = []
  app.get('/', {
    background (request, reply) {
      ids.push(this.id)
      refs.push(new WeakRef(request), new WeakRef(reply))
    }
  }, async () => 'ok')
  await app.inject('/')
  await app.background.idle()

  t.equal(ids.length, 1)
  t.equal(app.background.get(ids[0]), undefined)
  for (const ref of refs) t.ok(await isCollected(ref))
})

t.test('R6: a finished run does not hold the stores of the place that added it', async (t) => {
  const app = await createApp(t)
  const als = new AsyncLocalStorage<object>()
  const runs: background.TaskRun[] = []
  let ref!: WeakRef<object>
  app.get('/', async (request, reply) => {
    const store = { request }
    ref = new WeakRef(store)
    als.run(store, () => { runs.push(reply.background.addTask(() => als.getStore() === ref.deref())) })
    return 'ok'
  })
  await app.inject('/')
  await app.background.idle()

  t.ok(await isCollected(ref))
  t.strictSame(runs.map((run) => run.result), [true])
})

t.test('R6: a run that waits does hold its arguments', async (t) => {
  const app = await createApp(t)
  const go = latch()
  const runs: background.TaskRun[] = []
  const held = await ask(app, (reply, argument) => {
    runs.push(reply.background.addTask(() => go), reply.background.addTask(use, argument, reply))
    return runs
  })
  await until(() => runs[0].state === 'active')

  t.notOk(await isCollected(held.argument), 'so that the other tests can fail')
  go.open()
  await app.background.idle()
  await assertCollected(t, held)
})

t.test('L4: a finished run that nobody holds is gone, even where its id was read', async (t) => {
  const app = await createApp(t)
  const refs: Array<WeakRef<object>> = []
  const ids: string[] = []
  app.get('/', async (request, reply) => {
    const run = reply.background.addTask(() => {})
    ids.push(run.id)
    refs.push(new WeakRef(run))
    return 'ok'
  })
  for (let i = 0; i < 10; i++) await app.inject('/')
  await app.background.idle()

  t.strictSame(app.background.stats(), counts({ accepted: 10, completed: 10 }))
  t.strictSame(ids.map((id) => app.background.get(id)), new Array(10).fill(undefined))
  for (const ref of refs) t.ok(await isCollected(ref))
})

t.test('L4: the replies of one connection leave nothing at its socket', async (t) => {
  const app = await createApp(t)
  const listeners: number[] = []
  app.get('/', async (request, reply) => {
    reply.background.addTask(() => {})
    listeners.push(request.raw.socket.listenerCount('close'))
    return `reply ${listeners.length}.`
  })
  const { port } = await listen(app)
  const client = await rawClient(port)
  // Two at once, so that the second waits behind the first, then one by one.
  client.socket.write(head('GET', '/') + head('GET', '/'))
  await client.receives('reply 2.')
  for (let i = 3; i <= 12; i++) {
    client.socket.write(head('GET', '/'))
    await client.receives(`reply ${i}.`)
  }
  await app.background.idle()
  client.socket.end()

  t.strictSame(app.background.stats(), counts({ accepted: 12, completed: 12 }))
  t.equal(listeners[11], listeners[2])
})

t.test('L4: runs that wait, work and end need no timer', async (t) => {
  const app = await createApp(t)
  const go = latch()
  const before = timers()
  const run = app.background.addTask(() => go)
  app.background.addTask(() => { throw new Error('broken') })
  const idle = app.background.idle()
  await until(() => run.state === 'active')

  t.equal(timers(), before)
  go.open()
  await idle
  t.equal(timers(), before)
})

t.test('L4: the timer of a reply that has ended without a status goes when the status comes', async (t) => {
  const app = await createApp(t)
  const before = timers()
  const { answer } = await leaveInHandler(app)
  await until(() => timers() > before)
  answer.open()
  await app.background.idle()

  t.strictSame(app.background.stats(), counts({ accepted: 1, completed: 1 }))
  t.equal(timers(), before)
})

t.test('L4: the timer of a reply that never gets a status goes with its last run', async (t) => {
  const app = await createApp(t, { settleTimeout: 20 })
  const before = timers()
  await leaveInHandler(app)
  await app.background.idle()

  t.strictSame(app.background.stats(), counts({ accepted: 1, completed: 1 }))
  t.equal(timers(), before)
})

t.test('L4: shutdown leaves no timer', async (t) => {
  const before = timers()
  const app = await createApp(t)
  const go = latch()
  const run = app.background.addTask(() => go)
  await until(() => run.state === 'active')
  const closed = app.close()
  await until(() => timers() > before)
  go.open()
  await closed

  t.equal(run.state, 'completed')
  t.equal(timers(), before)
})

/** One reply with the tasks that `add` adds: when they are finished, and held, all else can go. */
async function letsGo (t: Test, states: string[], add: Add, options: background.BackgroundOptions = {}): Promise<void> {
  const app = await createApp(t, options)
  const runs: background.TaskRun[] = []
  const held = await ask(app, (reply, argument) => {
    runs.push(...add(reply, argument))
    return runs
  })
  await app.background.idle()

  t.strictSame(runs.map((run) => run.state), states)
  await assertCollected(t, held)
  t.equal(runs.length, states.length, 'the runs are held to the end')
}

/** A client that leaves while the handler, which has added a task, has not answered. */
async function leaveInHandler (app: Awaited<ReturnType<typeof createApp>>) {
  const entered = latch()
  const answer = latch()
  app.get('/', async (request, reply) => {
    reply.background.addTask(() => {})
    entered.open()
    await answer
    return 'too late'
  })
  const { port } = await listen(app)
  const { socket, leave } = await rawClient(port)
  socket.write(head('GET', '/'))
  await entered
  leave()
  return { answer }
}

function timers (): number {
  return process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout' || resource === 'Immediate').length
}
