import { AsyncLocalStorage } from 'node:async_hooks'
import t, { type Test } from 'tap'
import type { FastifyReply } from 'fastify'
import background from '../lib/index'
import { createDurableApp, durable, recorder } from './helpers/durable'
import { assertCollected, ask } from './helpers/held'
import { isCollected } from './helpers/gc'
import { until } from './helpers/latch'
import { Memory } from './helpers/memory-engine'
import { failing } from './helpers/policies'
import { serve } from './helpers/serve'
import { record, watch } from './helpers/task-events'

const { BackgroundTask } = background

for (const local of [true, false]) {
  t.test(`events: what a subscriber writes into meta goes with the task to its run, with a ${local ? 'local' : 'remote'} engine`, async (t) => {
    const task = durable('task', function () {
      if (this.attempt === 1) throw new Error('broken')
    }, { retries: 1, backoff: { delay: 0 } })
    const memory = new Memory()
    const { app, engine } = await createDurableApp(t, { tasks: [task], local, memory })
    watch(t, 'queued', ({ background, meta }) => { if (background === app.background) meta!.traceparent = '00-1' })
    const { seen, lines } = record(t, app)
    const run = await new Promise<background.TaskRun>((resolve) => {
      serve(app, (reply) => { resolve(reply.background.addTask(task)) })
    })
    await until(() => engine.outcomes.length === 2)

    t.strictSame(engine.memory.entries.get(run.id)!.task.meta, { traceparent: '00-1' })
    t.strictSame(lines(), [
      'queued queued', 'start active', 'error retrying', 'retrying retrying', local ? 'end retrying' : 'end stored', 'start active', 'end completed'
    ])
    t.ok(seen.every(({ event }) => event.meta!.traceparent === '00-1'))
  })
}

t.test('events: what a subscriber writes into meta that is no text is stored as one, or left out', async (t) => {
  const task = recorder('task')
  const { app, engine } = await createDurableApp(t, { tasks: [task], worker: false })
  watch(t, 'queued', ({ background, meta }) => {
    if (background === app.background) Object.assign(meta!, { text: 'a', number: 5, truth: true, object: {}, nothing: undefined })
  })
  const run = await app.background.addTask(task).stored()

  t.strictSame(engine.memory.entries.get(run.id)!.task.meta, { text: 'a', number: '5', truth: 'true' })
})

t.test('events: a run of another process brings its meta', async (t) => {
  const memory = new Memory()
  const task = recorder('task')
  const adding = await createDurableApp(t, { tasks: [task], memory, worker: false })
  const working = await createDurableApp(t, { tasks: [task], memory })
  watch(t, 'queued', ({ background, meta }) => { if (background === adding.app.background) meta!.from = 'elsewhere' })
  const { seen, lines } = record(t, working.app)
  adding.app.background.addTask(task)
  await working.app.ready()
  await until(() => task.calls.length === 1)

  t.strictSame(lines(), ['start active', 'end completed'])
  t.strictSame(seen.map(({ event }) => event.meta), [{ from: 'elsewhere' }, { from: 'elsewhere' }])
})

t.test('events: a run that is not durable has no meta', async (t) => {
  const { app } = await createDurableApp(t)
  const { seen } = record(t, app)
  app.background.addTask(() => {})
  await app.background.idle()

  t.ok(seen.length > 0 && seen.every(({ event }) => !('meta' in event)))
})

t.test('events: durable runs that are cancelled or discarded say so, with their meta', async (t) => {
  const [task, unmet] = [recorder('task'), recorder('unmet', { when: 'error' })]
  const { app } = await createDurableApp(t, { tasks: [task, unmet] })
  const { seen, lines } = record(t, app)
  await serve(app, (reply) => {
    reply.background.addTask(unmet)
    reply.background.addTask(task).cancel()
  })
  await app.background.idle()

  t.strictSame(lines('unmet'), ['queued queued', 'discarded discarded'])
  t.strictSame(lines('task'), ['queued queued', 'cancelled cancelled'])
  t.ok(seen.every(({ event }) => event.meta !== undefined))
})

const storage = new AsyncLocalStorage<string>()

t.test('R4: with a local engine a durable task sees the stores of the place that added it', async (t) => {
  const seen: unknown[] = []
  const note = durable('note', (where: string) => { seen.push([where, storage.getStore()]) })
  const { app } = await createDurableApp(t, { tasks: [note], local: true })
  app.addHook('onSend', (_request, _reply, _payload, done) => { storage.run('onSend', done) })
  app.get('/', { background: new BackgroundTask(note, 'route') }, (_, reply) => {
    storage.run('handler', () => reply.background.addTask(note, 'reply'))
    reply.send('ok')
  })
  await storage.run('inject', () => app.inject('/'))
  storage.run('outside', () => app.background.addTask(note, 'application'))
  await app.background.idle()

  t.strictSame(seen.sort(), [['application', 'outside'], ['reply', 'handler'], ['route', 'onSend']])
})

t.test('R4: every attempt of a durable task sees the stores as they were', async (t) => {
  const seen: unknown[] = []
  const task = durable('task', function () {
    seen.push(storage.getStore())
    storage.enterWith('changed')
    failing(2).call(this)
  }, { retries: 2, backoff: { delay: 0 } })
  const { app } = await createDurableApp(t, { tasks: [task], local: true })
  await app.ready()
  storage.run('here', () => app.background.addTask(task))
  await until(() => seen.length === 3)

  t.strictSame(seen, ['here', 'here', 'here'])
})

/** Asks for a reply with a durable task whose run the test goes on to hold. */
async function letsGo (t: Test, state: background.TaskState, local: boolean, fails: boolean, options: Pick<background.BackgroundOptions, 'when' | 'worker'> = {}): Promise<void> {
  const given: Array<WeakRef<object>> = []
  const task = durable('task', function (argument: { large: boolean }) {
    given.push(new WeakRef(argument))
    if (!argument.large) throw new Error('not expected')
    if (fails) throw new Error('broken')
  })
  const { app, engine } = await createDurableApp(t, { tasks: [task], local, onTaskError: () => {}, ...options })
  if (state === 'failed' && !fails) engine.gates.store = () => { throw new Error('away') }
  let run!: background.TaskRun
  const held = await ask(app, (reply: FastifyReply, argument) => {
    run = reply.background.addTask(task, argument as { large: boolean })
    if (state === 'cancelled') run.cancel()
  })
  await until(() => run.state === state)
  await app.background.idle()
  await assertCollected(t, held)
  for (const ref of given) t.ok(await isCollected(ref), 'what the function was called with can be collected')
  t.equal(run.state, state)
}

for (const [what, ...how] of [
  ['completed, with a local engine', 'completed', true, false],
  ['completed, with a remote engine', 'completed', false, false],
  ['failed', 'failed', true, true],
  ['not been stored for an error', 'failed', true, false],
  ['been cancelled', 'cancelled', true, false],
  ['been stored', 'stored', false, false, { worker: false }],
  ['not met its condition', 'discarded', false, false, { when: 'error' }]
] as Array<[string, background.TaskState, boolean, boolean, Pick<background.BackgroundOptions, 'when' | 'worker'>?]>) {
  t.test(`R6: a durable run that has ${what} holds neither request, reply nor arguments`, async (t) => {
    await letsGo(t, ...how)
  })
}

for (const state of ['stored', 'failed'] as const) {
  t.test(`R6: the payload of a durable run that is ${state} can be collected`, async (t) => {
    const task = durable('task', (_given: object) => {})
    const { app, engine } = await createDurableApp(t, { tasks: [task], worker: false })
    let payload: WeakRef<object> | undefined
    const store = engine.store.bind(engine)
    engine.store = async (tasks) => {
      payload = new WeakRef(tasks[0].args[0] as object)
      if (state !== 'stored') throw new Error('away')
      await store(tasks)
    }
    const run = app.background.addTask(task, { large: true })
    await run.finished()

    t.equal(run.state, state)
    t.ok(await isCollected(payload!))
  })
}

t.test('R6: a stored run that nobody holds is not kept, and is made anew when it comes back', async (t) => {
  const task = recorder('task')
  const { app, engine } = await createDurableApp(t, { tasks: [task] })
  const ref = await (async () => {
    const run = app.background.addTask(task, 'argument')
    await run.stored()
    return new WeakRef(run)
  })()
  t.ok(await isCollected(ref))
  await app.ready()
  await until(() => engine.outcomes.length === 1)

  t.strictSame(task.calls, [['argument']])
})
