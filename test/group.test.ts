import t from 'tap'
import background from '../lib/index'
import { createApp } from './helpers/app'
import { counts } from './helpers/counts'
import { latch, turn, until } from './helpers/latch'
import { serve } from './helpers/serve'

const { BackgroundTask, BackgroundTasks } = background

t.test('a group runs its tasks one at a time, in order, by default', async (t) => {
  const { most, events, work } = meter()
  const app = await createApp(t)
  await serve(app, (reply) => {
    reply.background.addTasks(new BackgroundTasks().addTask(work, 'a').addTask(work, 'b').addTask(work, 'c'))
  })
  await app.background.idle()

  t.strictSame(events, ['a starts', 'a ends', 'b starts', 'b ends', 'c starts', 'c ends'])
  t.equal(most(), 1)
})

t.test('a group runs as many tasks at once as its concurrency says', async (t) => {
  const { most, events, work } = meter()
  const app = await createApp(t)
  const group = new BackgroundTasks([], { concurrency: 2 })
  for (const name of ['a', 'b', 'c', 'd', 'e']) group.addTask(work, name)
  await serve(app, (reply) => { reply.background.addTasks(group) })
  await app.background.idle()

  t.equal(most(), 2)
  t.strictSame(events.filter((event) => event.endsWith('starts')), ['a starts', 'b starts', 'c starts', 'd starts', 'e starts'])
  t.strictSame(app.background.stats(), counts({ accepted: 5, completed: 5 }))
})

t.test('a group of infinite concurrency runs all of its tasks at once', async (t) => {
  const { most, work } = meter()
  const app = await createApp(t)
  const group = new BackgroundTasks([], { concurrency: Infinity })
  for (let i = 0; i < 10; i++) group.addTask(work, String(i))
  app.background.addTasks(group)
  await app.background.idle()

  t.equal(most(), 10)
})

t.test('a free place in a group goes to the next task, whichever was first to end', async (t) => {
  const app = await createApp(t)
  const go = latch()
  const started: string[] = []
  const run = (name: string): void => { started.push(name) }
  app.background.addTasks(new BackgroundTasks([], { concurrency: 2 })
    .addTask(async () => {
      started.push('slow')
      await go
    })
    .addTask(run, 'b')
    .addTask(run, 'c')
    .addTask(run, 'd'))
  await until(() => started.length === 4)

  t.strictSame(started, ['slow', 'b', 'c', 'd'])
  t.strictSame(app.background.stats(), counts({ accepted: 4, active: 1, completed: 3 }))
  go.open()
  await app.background.idle()
})

t.test('R1: a group takes one place in the order of its reply', async (t) => {
  const { events, work } = meter()
  const app = await createApp(t)
  await serve(app, (reply) => {
    reply.background.addTask(work, 'before')
    reply.background.addTasks(new BackgroundTasks([], { concurrency: 2 }).addTask(work, 'a').addTask(work, 'b'))
    reply.background.addTasks([new BackgroundTasks([() => work('c')]), () => work('after')])
  })
  await app.background.idle()

  t.strictSame(events, [
    'before starts', 'before ends', 'a starts', 'b starts', 'a ends', 'b ends', 'c starts', 'c ends', 'after starts', 'after ends'
  ])
})

t.test('after a failure a group goes on by default', async (t) => {
  const app = await createApp(t)
  const runs = app.background.addTasks(new BackgroundTasks([fail, () => {}, failLater, () => {}]))
  await app.background.idle()

  t.strictSame(runs.map((run) => run.state), ['failed', 'completed', 'failed', 'completed'])
})

for (const [how, failing] of [['throws', fail], ['rejects', failLater]] as const) {
  t.test(`a group that stops discards what has not started when a task ${how}, and no other task`, async (t) => {
    const app = await createApp(t)
    const ran: string[] = []
    const note = (name: string): void => { ran.push(name) }
    const runs: background.TaskRun[] = []
    await serve(app, (reply) => {
      runs.push(
        ...reply.background.addTasks(new BackgroundTasks([], { onFailure: 'stop' })
          .addTask(note, 'a').addTask(failing).addTask(note, 'b').addTask(note, 'c')),
        reply.background.addTask(note, 'after'))
    })
    await app.background.idle()

    t.strictSame(runs.map((run) => run.state), ['completed', 'failed', 'discarded', 'discarded', 'completed'])
    t.strictSame(ran, ['a', 'after'])
    t.strictSame(runs.map((run) => run.attempt), [1, 1, 0, 0, 1])
    t.strictSame(app.background.stats(), counts({ accepted: 5, completed: 2, failed: 1, discarded: 2 }))
  })
}

t.test('a group that stops lets those at work come to their end', async (t) => {
  const app = await createApp(t)
  const go = latch()
  const runs = app.background.addTasks(new BackgroundTasks([() => go, failLater, () => {}], { concurrency: 2, onFailure: 'stop' }))
  await runs[1].finished()

  t.strictSame(runs.map((run) => run.state), ['active', 'failed', 'discarded'])
  go.open()
  await app.background.idle()
  t.equal(runs[0].state, 'completed')
})

t.test('a group that stops discards what has its turn at the same time as the one that fails', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  const note = (): void => { ran.push('not to run') }
  const runs = app.background.addTasks(new BackgroundTasks([fail, note, note], { concurrency: Infinity, onFailure: 'stop' }))
  await app.background.idle()

  t.strictSame(runs.map((run) => run.state), ['failed', 'discarded', 'discarded'])
  t.strictSame(ran, [])
})

t.test('a discarded task of a group is not reported as a failure', async (t) => {
  const reported: string[] = []
  const app = await createApp(t, { onTaskError (_error, run) { reported.push(run.name) } })
  app.background.addTasks(new BackgroundTasks([fail, () => {}], { onFailure: 'stop' }))
  await app.background.idle()

  t.strictSame(reported, ['fail'])
})

t.test('finished() resolves for every run of a group, whatever became of it', async (t) => {
  const app = await createApp(t)
  const runs = app.background.addTasks(new BackgroundTasks([() => {}, fail, () => {}], { onFailure: 'stop' }))
  const finished = await Promise.all(runs.map((run) => run.finished()))

  t.strictSame(finished.map((run) => run.state), ['completed', 'failed', 'discarded'])
  t.strictSame(finished.map((run, i) => run === runs[i]), [true, true, true])
})

t.test('a group is copied when it is attached', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  const note = (name: string): void => { ran.push(name) }
  const onRoute = new BackgroundTasks().addTask(note, 'route')
  const onReply = new BackgroundTasks().addTask(note, 'reply')
  app.get('/route', { background: onRoute }, async (request, reply) => {
    reply.background.addTasks(onReply)
    onReply.addTask(note, 'too late for the reply')
    return 'ok'
  })
  onRoute.addTask(note, 'too late for the route')
  await app.inject('/route')
  await app.background.idle()

  t.strictSame(ran, ['route', 'reply'])
})

t.test('one group serves every request', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  const group = new BackgroundTasks([], { onFailure: 'stop' })
    .addTask((name: string) => { ran.push(name) }, 'a')
    .addTask(fail)
    .addTask((name: string) => { ran.push(name) }, 'b')
  app.get('/route', { background: group }, async () => 'ok')
  await serve(app, (reply) => { reply.background.addTasks(group) })
  await app.inject('/')
  await app.inject('/route')
  await app.inject('/route')
  await app.background.idle()

  t.strictSame(ran, ['a', 'a', 'a', 'a'])
  t.strictSame(app.background.stats(), counts({ accepted: 12, completed: 4, failed: 4, discarded: 4 }))
})

t.test('T4: a group on a route runs on success, and is discarded as a whole otherwise', async (t) => {
  const app = await createApp(t)
  const ran: string[] = []
  const note = (name: string): void => { ran.push(name) }
  app.get<{ Querystring: { status: number } }>('/', {
    background: [
      new BackgroundTasks([], { concurrency: 2 }).addTask(note, 'a').addTask(note, 'b'),
      new BackgroundTask(note, 'c')
    ]
  }, async (request, reply) => {
    reply.background.addTasks(new BackgroundTasks().addTask(note, 'added'))
    return reply.code(request.query.status).send('ok')
  })
  await app.inject('/?status=500')
  await app.background.idle()
  t.strictSame(ran, ['added'])
  t.strictSame(app.background.stats(), counts({ accepted: 4, completed: 1, discarded: 3 }))

  await app.inject('/?status=201')
  await app.background.idle()
  t.strictSame(ran, ['added', 'a', 'b', 'c', 'added'])
})

t.test('T4: a condition is asked for each task of a group', async (t) => {
  let asked = 0
  const app = await createApp(t, { when: () => ++asked % 2 === 0 })
  const ran: string[] = []
  const note = (name: string): void => { ran.push(name) }
  const runs: background.TaskRun[] = []
  await serve(app, (reply) => {
    const group = new BackgroundTasks()
    for (const name of ['a', 'b', 'c', 'd']) group.addTask(note, name)
    runs.push(...reply.background.addTasks(group))
  })
  await app.background.idle()

  t.strictSame(runs.map((run) => run.state), ['discarded', 'completed', 'discarded', 'completed'])
  t.strictSame(ran, ['b', 'd'])
})

function fail (): never {
  throw new Error('broken')
}

async function failLater (): Promise<never> {
  await turn()
  throw new Error('broken')
}

/** Work that counts how much of it goes on at once. */
function meter (): { most: () => number, events: string[], work: (name: string) => Promise<void> } {
  const events: string[] = []
  let active = 0
  let most = 0
  return {
    events,
    most: () => most,
    async work (name) {
      most = Math.max(most, ++active)
      events.push(`${name} starts`)
      for (let i = 0; i < 3; i++) await turn()
      events.push(`${name} ends`)
      active--
    }
  }
}
