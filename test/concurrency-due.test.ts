import { randomUUID } from 'node:crypto'
import type { FastifyInstance, FastifyReply } from 'fastify'
import t from 'tap'
import background from '../lib/index'
import { createApp } from './helpers/app'
import { counts } from './helpers/counts'
import { createDurableApp, durable } from './helpers/durable'
import { isCollected } from './helpers/gc'
import { latch, turn, until } from './helpers/latch'
import { occupy } from './helpers/limited'
import { manyTurns } from './helpers/reply'
import { serve } from './helpers/serve'

const { BackgroundTasks, defineTask } = background
const DELAY = 1

for (const [where, add] of [
  ['outside a request', (app, tasks) => app.background.addTasks(tasks)],
  ['of a group', (app, tasks) => app.background.addTasks(new BackgroundTasks(tasks, { concurrency: Infinity }))],
  ['of a group of a reply', async (app, tasks) => {
    app.get('/group', async (_, reply) => reply.background.addTasks(new BackgroundTasks(tasks, { concurrency: Infinity })).length)
    await app.inject('/group')
  }]
] satisfies Array<[string, (app: Awaited<ReturnType<typeof createApp>>, tasks: Array<background.TaskDefinition<[]>>) => unknown]>) {
  t.test(`R2: runs ${where} whose next attempts are due stand in line at one place`, async (t) => {
    const app = await createApp(t, { concurrency: 5 })
    const fails = latch()
    const holds = Array.from({ length: 5 }, () => latch())
    const order: string[] = []
    app.get('/', async (_, reply) => {
      reply.background.addTask(() => { order.push('reply') })
      return 'ok'
    })
    const flaky = defineTask(async function () {
      if (this.attempt > 1) order.push('again')
      else await fails.then(() => { throw new Error('broken') })
    }, { retries: 1, backoff: { delay: DELAY, jitter: false } })
    await add(app, [flaky, flaky, flaky, flaky, flaky, ...holds.map((hold) => defineTask(() => hold))])
    await until(() => app.background.stats().active === 5)
    fails.open()
    // The slots go to those that wait already, before any next attempt is due.
    await until(() => app.background.stats().retrying === 5 && app.background.stats().active === 5)
    // Timers of one delay come in their order: when this one does, all five have asked.
    await new Promise((resolve) => setTimeout(resolve, DELAY))
    await turn()
    t.equal((await app.inject('/')).statusCode, 200)
    await manyTurns()
    holds[0].open()
    await until(() => order.length === 6)

    t.strictSame(order.slice(0, 2), ['again', 'reply'])
    for (const hold of holds) hold.open()
  })
}

t.test('R2: short asynchronous tasks that follow each other in a slot share turns of the event loop', async (t) => {
  const RUNS = 1_000
  const app = await createApp(t, { concurrency: 1 })
  for (let i = 0; i < RUNS; i++) app.background.addTask(async () => {})
  let turns = 0
  while (app.background.stats().completed < RUNS) {
    await turn()
    turns++
  }

  t.ok(turns < RUNS, `${turns} turns`)
})

t.test('R1: a group that stops discards, in order, what stands in line for a slot, and lets a retrying run go on', async (t) => {
  const app = await createApp(t, { concurrency: 1 })
  const discarded: string[] = []
  const fails = latch()
  const named = (name: string): background.TaskDefinition<[]> => defineTask(() => {}, { name })
  const runs = app.background.addTasks(new BackgroundTasks([
    defineTask(function () {
      if (this.attempt === 1) throw new Error('broken')
    }, { name: 'again', retries: 1, backoff: { delay: 0 } }),
    defineTask(async () => {
      await fails
      throw new Error('broken')
    }, { name: 'fails' }),
    named('in line'),
    named('waiting'),
    named('waiting, too')
  ], { concurrency: 3, onFailure: 'stop' }))
  await until(() => runs[0].state === 'retrying' && runs[1].state === 'active')
  await manyTurns()
  for (const run of runs) run.finished().then(({ name, state }) => { if (state === 'discarded') discarded.push(name) })
  fails.open()
  await app.background.idle()
  await turn()

  t.strictSame(runs.map(({ state }) => state), ['completed', 'failed', 'discarded', 'discarded', 'discarded'])
  t.strictSame(discarded, ['in line', 'waiting', 'waiting, too'])
})

t.test('R1: a group whose runs are cancelled in line for a slot, all or some, lets go on what is behind', async (t) => {
  const app = await createApp(t, { concurrency: 1 })
  const open = await occupy(app, 1)
  const ran: string[] = []
  const task = (name: string) => (): void => { ran.push(name) }
  let some!: background.TaskRun[]
  let all!: background.TaskRun[]
  await serve(app, (reply) => {
    all = reply.background.addTasks(new BackgroundTasks([task('never'), task('never')], { concurrency: 2 }))
    some = reply.background.addTasks(new BackgroundTasks([task('never'), task('b'), task('c')], { concurrency: 2 }))
    reply.background.addTask(task('behind'))
  })
  await manyTurns()
  for (const run of [...all, some[0]]) t.ok(run.cancel())
  open()
  await app.background.idle()

  t.strictSame(ran, ['b', 'c', 'behind'])
  t.strictSame(app.background.stats(), counts({ accepted: 7, completed: 4, cancelled: 3 }))
})

t.test('R6: runs that are added and cancelled while there is no slot do not stay', async (t) => {
  const app = await createApp(t, { concurrency: 1 })
  const open = await occupy(app, 1)
  const first = new WeakRef(cancelled(app))
  // As many as it takes for the line to be looked through.
  for (let i = 0; i < 3_000; i++) cancelled(app)

  t.ok(await isCollected(first))
  open()
})

for (const [what, add] of Object.entries({
  'a reply': (reply) => [reply.background.addTask(() => {})],
  'a group of a reply': (reply) => reply.background.addTasks(new BackgroundTasks([() => {}, () => {}])),
  'a group of the application': (_reply, app) => app.background.addTasks(new BackgroundTasks([() => {}, () => {}]))
} satisfies Record<string, (reply: FastifyReply, app: FastifyInstance) => background.TaskRun[]>)) {
  t.test(`R6: ${what} whose runs are all cancelled while there is no slot does not stay`, async (t) => {
    const app = await createApp(t, { concurrency: 1 })
    const open = await occupy(app, 1)
    let runs: background.TaskRun[] = []
    let request!: WeakRef<object>
    const store = new WeakMap<background.TaskRun, object>()
    app.get('/', async (each, reply) => {
      request = new WeakRef(each)
      runs = add(reply, app)
      // Of a run that stays, the request does.
      for (const run of runs) store.set(run, each)
      return 'ok'
    })
    const ask = async (): Promise<void> => {
      await app.inject('/')
      await manyTurns()
      for (const run of runs) t.ok(run.cancel())
      runs = []
    }
    await ask()
    const first = request
    // As many as it takes for the line to be looked through.
    for (let i = 0; i < 1_100; i++) await ask()

    t.ok(await isCollected(first))
    open()
  })
}

t.test('R1: what still waits keeps its place in line when those that were cancelled leave it', async (t) => {
  const app = await createApp(t, { concurrency: 1 })
  const open = await occupy(app, 1)
  const order: string[] = []
  let run!: background.TaskRun
  app.get('/:name', async (request, reply) => {
    const { name } = request.params as { name: string }
    run = reply.background.addTask(() => { order.push(name) })
    return 'ok'
  })
  const ask = async (name: string): Promise<void> => {
    await app.inject(`/${name}`)
    await manyTurns()
  }
  await ask('first')
  app.background.addTask(() => { order.push('outside') })
  for (let i = 0; i < 1_100; i++) {
    await ask('cancelled')
    t.ok(run.cancel())
  }
  await ask('last')
  open()
  await app.background.idle()

  t.strictSame(order, ['first', 'outside', 'last'])
})

t.test('R6: what an engine delivers, and is cancelled while there is no slot, does not stay', async (t) => {
  const task = durable('task', () => {})
  const { app, engine } = await createDurableApp(t, { tasks: [task], concurrency: 1 })
  await app.ready()
  const open = await occupy(app, 1)
  const deliver = async (): Promise<WeakRef<object>> => {
    const id = randomUUID()
    engine.put({ name: 'task', id })
    await until(() => app.background.get(id) !== undefined)
    const run = new WeakRef<object>(app.background.get(id)!)
    t.equal(await app.background.cancel(id), true)
    engine.memory.entries.delete(id)
    return run
  }
  const first = await deliver()
  for (let i = 0; i < 1_100; i++) await deliver()
  engine.outcomes.length = 0

  t.ok(await isCollected(first))
  open()
})

function cancelled (app: Awaited<ReturnType<typeof createApp>>): background.TaskRun {
  const run = app.background.addTask(() => {})
  run.cancel()
  return run
}
