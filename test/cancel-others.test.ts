import { AsyncLocalStorage } from 'node:async_hooks'
import t from 'tap'
import type { FastifyReply } from 'fastify'
import background from '../lib/index'
import { createApp, listen } from './helpers/app'
import { counts } from './helpers/counts'
import { isCollected } from './helpers/gc'
import { ask, assertCollected, use } from './helpers/held'
import { latch, until } from './helpers/latch'
import { IN_A_MINUTE, atWork, failing, never, onEvent, timers } from './helpers/policies'
import { closed, manyTurns } from './helpers/reply'
import { serve } from './helpers/serve'
import { head, rawClient } from './helpers/tcp'

const { BackgroundTask, BackgroundTasks, defineTask } = background

t.test('R5: a run of a group that cancels itself ends the group with it', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  const runs: background.TaskRun[] = []
  await serve(app, (reply) => {
    runs.push(...reply.background.addTasks([new BackgroundTasks([() => { runs[0].cancel() }]), () => { ran.push('behind') }]))
  })
  await app.background.idle()

  t.strictSame(runs.map(({ state }) => state), ['cancelled', 'completed'])
  t.strictSame(ran, ['behind'])
})

t.test('R5: a cancelled run of a group does not stop it', async (t) => {
  const app = await createApp(t)
  const runs = app.background.addTasks(new BackgroundTasks([never, () => {}, () => {}], { onFailure: 'stop' }))
  await until(() => runs[0].state === 'active')
  runs[1].cancel()
  runs[0].cancel()
  await app.background.idle()

  t.strictSame(runs.map(({ state }) => state), ['cancelled', 'cancelled', 'completed'])
})

for (const [when, cancelAt] of [['before its reply is sent', 'handler'], ['when its turn has come', 'turn']] as const) {
  t.test(`R5: a group that is cancelled as a whole ${when} lets those behind it start`, async (t) => {
    const app = await createApp(t)
    const go = latch()
    const ran: string[] = []
    let group: background.TaskRun[] = []
    await serve(app, (reply) => {
      reply.background.addTask(() => go)
      group = reply.background.addTasks(new BackgroundTasks([() => { ran.push('a') }, () => { ran.push('b') }]))
      reply.background.addTask(() => { ran.push('behind') })
      if (cancelAt === 'handler') for (const run of group) run.cancel()
    })
    for (const run of group) run.cancel()
    go.open()
    await app.background.idle()

    t.strictSame(ran, ['behind'])
    t.strictSame(app.background.stats(), counts({ accepted: 4, cancelled: 2, completed: 2 }))
  })
}

t.test('R5: reply.background.size counts a cancelled run no more', async (t) => {
  const app = await createApp(t)
  const sizes: number[] = []
  await serve(app, ({ background }) => {
    const [a, b] = [background.addTask(() => {}), background.addTask(() => {})]
    for (const run of [a, b, b]) {
      sizes.push(background.size)
      run.cancel()
    }
    sizes.push(background.size)
  })
  t.strictSame(sizes, [2, 1, 0, 0])
})

t.test('T3: a task that is added when all others of its reply were cancelled runs, in the handler or after the reply', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  const note = (name: string): void => { ran.push(name) }
  let add!: (name: string) => background.TaskRun
  await serve(app, (reply) => {
    add = (name) => reply.background.addTask(note, name)
    add('cancelled').cancel()
    add('in the handler')
  })
  await app.background.idle()
  add('cancelled').cancel()
  await add('after the reply').finished()

  t.strictSame(ran, ['in the handler', 'after the reply'])
})

t.test('T3: so it does where the client has left, and the timer of a reply without a status goes with the cancel', async (t) => {
  const app = await createApp(t)
  const [entered, answer] = [latch<background.TaskRun>(), latch()]
  const ran: string[] = []
  app.get('/', async (request, reply) => {
    const left = closed(reply)
    entered.open(reply.background.addTask(() => { ran.push('cancelled') }))
    await left
    await answer
    reply.background.addTask(() => { ran.push('added later') })
    return 'too late'
  })
  const { port } = await listen(app)
  const atRest = timers()
  const client = await rawClient(port)
  client.socket.write(head('GET', '/'))
  const run = await entered
  client.leave()
  await until(() => timers() > atRest)
  run.cancel()
  t.equal(timers(), atRest)
  answer.open()
  await until(() => ran.length > 0)
  await app.background.idle()

  t.strictSame(ran, ['added later'])
})

t.test('R5: tasks of a route can be cancelled before the reply has come to onSend', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  const runs: background.TaskRun[] = []
  onEvent(t, app, 'queued', ({ run }) => { runs.push(run) })
  const note = (name: string) => () => { ran.push(name) }
  app.get('/', { background: [note('a'), note('b'), new BackgroundTasks([note('c'), note('d')]), new BackgroundTask(note('e'))] }, async () => {
    t.strictSame(runs.map((run) => run.cancel()), [true, true, true, true, true].slice(0, runs.length))
    return 'ok'
  })
  app.get('/some', { background: [note('a'), note('b'), new BackgroundTasks([note('c'), note('d')])] }, async () => {
    for (const run of runs.slice(-4).filter((_, i) => i % 2 === 0)) t.equal(run.cancel(), true)
    return 'ok'
  })
  await app.inject('/')
  await app.background.idle()
  t.strictSame(ran, [])
  await app.inject('/some')
  await app.background.idle()

  t.strictSame(ran, ['b', 'd'])
  t.strictSame(app.background.stats(), counts({ accepted: 9, cancelled: 7, completed: 2 }))
})

t.test('R5: the condition of a run that was cancelled is not asked', async (t) => {
  const app = await createApp(t)
  let asked = 0
  const task = defineTask(() => {}, { when: () => { asked++; return true } })
  await serve(app, ({ background }) => {
    for (const run of [background.addTask(task), ...background.addTasks(new BackgroundTasks([task, task]))].slice(0, 2)) run.cancel()
  })
  await app.background.idle()

  t.equal(asked, 1)
  t.strictSame(app.background.stats(), counts({ accepted: 3, cancelled: 2, completed: 1 }))
})

for (const result of [true, false]) {
  t.test(`R5: a condition that cancels its own run, and returns ${result}, or cancels others`, async (t) => {
    const app = await createApp(t)
    const runs: background.TaskRun[] = []
    const ran: string[] = []
    const cancels = (...indexes: number[]): (() => void) => defineTask(() => { ran.push('not to run') }, {
      when () {
        for (const i of indexes) runs[i].cancel('by a condition')
        return result
      }
    })
    await serve(app, (reply) => {
      runs.push(
        reply.background.addTask(() => { ran.push('first') }),
        reply.background.addTask(cancels(1)),
        ...reply.background.addTasks(new BackgroundTasks([cancels(2, 3), () => { ran.push('not to run') }])),
        reply.background.addTask(cancels(4, 0, 6)),
        reply.background.addTask(() => { ran.push('behind') }),
        reply.background.addTask(() => { ran.push('not to run') }))
    })
    await app.background.idle()
    await manyTurns()

    t.strictSame(runs.map(({ state }) => state), ['cancelled', 'cancelled', 'cancelled', 'cancelled', 'cancelled', 'completed', 'cancelled'])
    t.equal(runs[1].error, 'by a condition')
    t.strictSame(ran, ['behind'])
    t.strictSame(app.background.stats(), counts({ accepted: 7, cancelled: 6, completed: 1 }))
  })
}

t.test('R5: onTaskError may cancel the runs behind the one that failed, and not that one', async (t) => {
  const cancelled: boolean[] = []
  const runs: background.TaskRun[] = []
  const ran: string[] = []
  const app = await createApp(t, { onTaskError: () => { for (const run of runs.slice(0, 4)) cancelled.push(run.cancel()) } })
  await serve(app, ({ background }) => {
    runs.push(background.addTask(failing(1)), background.addTask(() => { ran.push('not to run') }))
    runs.push(...background.addTasks(new BackgroundTasks([() => { ran.push('not to run') }, () => { ran.push('not to run') }])))
    runs.push(background.addTask(() => { ran.push('behind') }))
  })
  await app.background.idle()

  t.strictSame(cancelled, [false, true, true, true])
  t.strictSame(runs.map(({ state }) => state), ['failed', 'cancelled', 'cancelled', 'cancelled', 'completed'])
  t.strictSame(ran, ['behind'])
})

t.test('L1: at closeTimeout the signal of a run at work is aborted, with the error that the run has', async (t) => {
  const app = await createApp(t, { closeTimeout: 20 })
  const { run, signal } = await atWork(app)
  const states: string[] = []
  signal.addEventListener('abort', () => { states.push(run.state) })
  await app.close()

  t.strictSame(states, ['cancelled'])
  t.equal(signal.reason, run.error)
  t.match(run.error, { code: 'FST_ERR_BACKGROUND_CLOSED', message: /"watch" cancelled: the application has closed/ })
  t.equal(run.cancel(), false)
})

t.test('L1: closing does not wait for runs that were cancelled, though their functions go on', async (t) => {
  const app = await createApp(t, { closeTimeout: 3_600_000 }, { pluginTimeout: 0 })
  const { run } = await atWork(app)
  const closing = app.close()
  await manyTurns()
  run.cancel()
  await closing

  t.strictSame(app.background.stats(), counts({ accepted: 1, cancelled: 1 }))
})

t.test('R6: a run that was cancelled at work, whose function never ends, holds neither request, reply nor arguments', async (t) => {
  const app = await createApp(t)
  const contexts: background.TaskContext[] = []
  let run!: background.TaskRun
  const held = await ask(app, (reply, argument) => {
    // The function forgets what it was called with: only the run could hold it.
    run = reply.background.addTask(function (argument, reply) {
      use(argument, reply)
      contexts.push(this)
      this.signal.addEventListener('abort', () => {})
      return never()
    }, argument, reply)
  })
  await until(() => run.state === 'active')
  run.cancel()

  await assertCollected(t, held)
  t.match(run, { state: 'cancelled', error: { name: 'AbortError' } })
  t.equal(contexts.length, 1, 'the context is held to the end, as the run is')
})

t.test('R6: a run that was cancelled between two attempts holds neither request, reply nor arguments', async (t) => {
  const app = await createApp(t, { retries: 1, backoff: IN_A_MINUTE })
  let run!: background.TaskRun
  const held = await ask(app, (reply, argument) => {
    run = reply.background.addTask((argument, reply) => {
      use(argument, reply)
      throw new Error('broken')
    }, argument, reply)
  })
  await until(() => run.state === 'retrying')

  t.notOk(await isCollected(held.argument), 'it needs its arguments for the next attempt')
  run.cancel()
  await assertCollected(t, held)
  t.equal(run.state, 'cancelled')
})

t.test('R6: a run of a route that was cancelled before onSend does not hold the stores of it', async (t) => {
  const store = new AsyncLocalStorage<object>()
  const app = await createApp(t)
  const runs: background.TaskRun[] = []
  let ref!: WeakRef<object>
  onEvent(t, app, 'queued', ({ run }) => { runs.push(run) })
  app.addHook('onSend', (request, reply, payload, done) => {
    const held = { request }
    ref = new WeakRef(held)
    // Node keeps the date for a second, by a timer with the stores of the reply that asked first.
    reply.raw.sendDate = false
    store.run(held, done)
  })
  app.get('/', { background: () => {} }, async () => {
    runs[0].cancel()
    return 'ok'
  })
  await app.inject('/')
  await app.background.idle()

  t.ok(await isCollected(ref))
  t.match(runs, [{ state: 'cancelled' }])
})

t.test('R6: a run that was cancelled in a reply that is open lets its arguments go there and then', async (t) => {
  const app = await createApp(t)
  const [added, answer] = [latch<WeakRef<object>>(), latch()]
  const runs: background.TaskRun[] = []
  function add (reply: FastifyReply): WeakRef<object> {
    const argument = { large: true }
    runs.push(reply.background.addTask(use, argument, reply))
    return new WeakRef(argument)
  }
  const served = serve(app, async (reply) => {
    added.open(add(reply))
    await answer
  })
  const argument = await added
  t.notOk(await isCollected(argument))
  runs[0].cancel()

  t.ok(await isCollected(argument))
  answer.open()
  await served
  t.equal(runs[0].state, 'cancelled')
})
