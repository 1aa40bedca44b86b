import t from 'tap'
import background from '../lib/index'
import { createApp } from './helpers/app'
import { counts } from './helpers/counts'
import { latch, turn, until } from './helpers/latch'
import { manyTurns } from './helpers/reply'
import { serve } from './helpers/serve'

const { BackgroundTask, BackgroundTasks } = background

t.test('a task outside a request starts at once, without a request, before the application listens', async (t) => {
  const app = await createApp(t)
  const run = app.background.addTask((a: number, b: number) => a + b, 1, 2)

  t.equal((await run.finished()).result, 3)
})

t.test('a task outside a request does not run inside the call that adds it', async (t) => {
  const app = await createApp(t)
  let ran = false
  app.background.addTask(() => { ran = true })

  t.notOk(ran)
  await app.background.idle()
  t.ok(ran)
})

t.test('tasks outside a request do not wait for each other', async (t) => {
  const app = await createApp(t)
  const go = latch()
  const runs = app.background.addTasks([() => go, () => {}])
  runs.push(app.background.addTask(() => {}))
  await until(() => runs[1].state === 'completed' && runs[2].state === 'completed')

  t.equal(runs[0].state, 'active')
  go.open()
  await app.background.idle()
  t.strictSame(app.background.stats(), counts({ accepted: 3, completed: 3 }))
})

t.test('addTasks outside a request takes functions, tasks and groups, and returns all runs in order', async (t) => {
  const app = await createApp(t)
  function named (): void {}
  const runs = app.background.addTasks([
    named,
    new BackgroundTask(function task (value: string) { return value }, 'argument'),
    new BackgroundTasks([function inGroup () {}, function alsoInGroup () {}])
  ])
  await app.background.idle()

  t.strictSame(runs.map((run) => run.name), ['named', 'task', 'inGroup', 'alsoInGroup'])
  t.equal(runs[1].result, 'argument')
  t.strictSame(runs.map((run) => run.state), new Array(4).fill('completed'))
})

t.test('functions in a list are called without arguments', async (t) => {
  const app = await createApp(t)
  const calls: unknown[][] = []
  const note = (...args: unknown[]): void => { calls.push(args) }
  await serve(app, (reply) => { reply.background.addTasks([note, note]) })
  app.background.addTasks([note])
  await app.background.idle()

  t.strictSame(calls, [[], [], []])
})

t.test('of a list with one wrong task none is accepted', async (t) => {
  const app = await createApp(t)
  let ran = 0
  const note = (): void => { ran++ }
  t.throws(() => app.background.addTasks([note, null as never]))
  await serve(app, (reply) => {
    t.throws(() => reply.background.addTasks([note, new BackgroundTasks([note]), 'no task' as never]))
  })
  await manyTurns()

  t.equal(ran, 0)
  t.strictSame(app.background.stats(), counts())
})

t.test('the conditions of the plugin mean nothing outside a request', async (t) => {
  const app = await createApp(t, { when: 'error' })
  const run = app.background.addTask(() => {})
  const runs = app.background.addTasks(new BackgroundTasks([() => {}]))
  await app.background.idle()

  t.strictSame([run, ...runs].map((run) => run.state), ['completed', 'completed'])
})

t.test('idle() resolves at once where nothing is unfinished', async (t) => {
  const app = await createApp(t)
  const order: string[] = []
  const idle = app.background.idle().then(() => { order.push('idle') })
  await turn()
  order.push('a turn later')
  await idle

  t.strictSame(order, ['idle', 'a turn later'])
})

t.test('idle() waits for what runs, what waits, and what is added meanwhile', async (t) => {
  const app = await createApp(t)
  const go = latch()
  const order: string[] = []
  let waits: Array<Promise<unknown>> = []
  await serve(app, (reply) => {
    reply.background.addTask(async () => {
      await go
      order.push('first')
      app.background.addTask(() => { order.push('added outside') })
      reply.background.addTask(() => { order.push('added to the reply') })
    })
    reply.background.addTask(() => { order.push('second') })
    waits = [1, 2].map((n) => app.background.idle().then(() => order.push(`idle ${n}`)))
  })
  await manyTurns()
  t.strictSame(order, [])

  go.open()
  await Promise.all(waits)
  t.equal(order[0], 'first')
  t.strictSame(order.slice(1, 4).sort(), ['added outside', 'added to the reply', 'second'])
  t.strictSame(order.slice(4), ['idle 1', 'idle 2'])
})

t.test('idle() waits for a reply that has a task and has not settled', async (t) => {
  const app = await createApp(t)
  const answer = latch()
  let run!: background.TaskRun
  app.get('/', async (request, reply) => {
    run = reply.background.addTask(() => {})
    await answer
    return 'ok'
  })
  const response = app.inject('/')
  await until(() => run !== undefined)
  let idle = false
  const waits = app.background.idle().then(() => { idle = true })
  await manyTurns()

  t.notOk(idle)
  answer.open()
  await waits
  t.equal(run.state, 'completed')
  await response
})

t.test('idle() resolves whatever became of the runs', async (t) => {
  const app = await createApp(t)
  app.background.addTasks(new BackgroundTasks([() => { throw new Error('broken') }, () => {}], { onFailure: 'stop' }))
  await app.background.idle()

  t.strictSame(app.background.stats(), counts({ accepted: 2, failed: 1, discarded: 1 }))
})

t.test('L3: the counts are right at every step of a reply', async (t) => {
  const app = await createApp(t)
  const { stats } = watch(app.background)
  const steps: Array<[string, background.BackgroundStats]> = []
  const note = (what: string): void => { steps.push([what, stats()]) }
  note('start')
  const gates = [latch(), latch()]
  const runs: background.TaskRun[] = []
  await serve(app, (reply) => {
    runs.push(reply.background.addTask(() => gates[0]))
    note('one added')
    runs.push(reply.background.addTask(async () => {
      await gates[1]
      throw new Error('broken')
    }))
    runs.push(...reply.background.addTasks(new BackgroundTasks([() => { throw new Error('broken') }, () => {}], { onFailure: 'stop' })))
    note('all added')
    t.equal(reply.background.size, 4)
  })
  await until(() => runs[0].state === 'active')
  note('first at work')
  gates[0].open()
  await until(() => runs[1].state === 'active')
  note('second at work')
  gates[1].open()
  await app.background.idle()
  note('end')

  t.strictSame(steps, [
    ['start', counts()],
    ['one added', counts({ accepted: 1, queued: 1 })],
    ['all added', counts({ accepted: 4, queued: 4 })],
    ['first at work', counts({ accepted: 4, queued: 3, active: 1 })],
    ['second at work', counts({ accepted: 4, queued: 2, active: 1, completed: 1 })],
    ['end', counts({ accepted: 4, completed: 1, failed: 2, discarded: 1 })]
  ])
})

t.test('L3: the counts add up wherever they are read', async (t) => {
  const sums: boolean[] = []
  const read = (): void => { sums.push(addsUp(app.background.stats())) }
  const app = await createApp(t, {
    closeTimeout: 0,
    when: (request, reply) => {
      read()
      return (request.query as { run?: string }).run !== undefined
    },
    onTaskError: read
  }, { logger: { level: 'warn', stream: { write: read } } })
  app.get('/', async (request, reply) => {
    reply.background.addTask(read)
    reply.background.addTask(async () => {
      read()
      await turn()
      read()
      throw new Error('broken')
    })
    read()
    return 'ok'
  })
  await app.inject('/')
  await app.inject('/?run')
  await app.background.idle()
  const last = app.background.addTask(() => new Promise(() => {}))
  last.finished().then(read)
  await until(() => last.state === 'active')
  app.background.addTask(() => {})
  await app.close()
  read()

  t.strictSame(app.background.stats(), counts({ accepted: 6, completed: 1, failed: 1, discarded: 3, cancelled: 1 }))
  t.ok(sums.length > 10)
  t.ok(sums.every((holds) => holds))
})

t.test('stats() gives the counts of its moment, and a copy', async (t) => {
  const app = await createApp(t)
  const before = app.background.stats()
  app.background.addTask(() => {})
  app.background.stats().accepted = 100
  await app.background.idle()

  t.strictSame(before, counts())
  t.strictSame(app.background.stats(), counts({ accepted: 1, completed: 1 }))
})

t.test('two applications in one process know nothing of each other', async (t) => {
  const one = await createApp(t)
  const other = await createApp(t)
  const go = latch()
  one.background.addTask(() => go)
  await other.background.idle()

  t.strictSame(other.background.stats(), counts())
  t.strictSame(one.background.stats().accepted, 1)
  go.open()
})

t.test('size counts what its reply has accepted and not finished', async (t) => {
  const app = await createApp(t)
  const sizes: number[] = []
  app.background.addTask(() => {})
  await serve(app, (reply) => {
    const note = (): void => { sizes.push(reply.background.size) }
    note()
    reply.background.addTask(note)
    reply.background.addTasks(new BackgroundTasks([note, note]))
    note()
    reply.background.addTask(async () => {
      await turn()
      note()
      reply.background.addTask(note)
      note()
    })
  })
  await app.background.idle()

  t.strictSame(sizes, [0, 3, 4, 3, 2, 1, 2, 1])
})

/** Reads the counts, and fails where they do not add up. */
function watch (background: background.AppBackground): { stats: () => background.BackgroundStats } {
  return {
    stats () {
      const stats = background.stats()
      if (!addsUp(stats)) throw new Error(`the counts do not add up: ${JSON.stringify(stats)}`)
      return stats
    }
  }
}

function addsUp ({ accepted, ...rest }: background.BackgroundStats): boolean {
  return accepted === Object.values(rest).reduce((sum, count) => sum + count, 0)
}
