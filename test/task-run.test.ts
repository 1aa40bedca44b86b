import t from 'tap'
import background from '../lib/index'
import { createApp } from './helpers/app'
import { latch, turn, until } from './helpers/latch'
import { serve } from './helpers/serve'

const { BackgroundTask, BackgroundTasks } = background
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

t.test('the id of a run is a UUID, its own, and the same at every time', async (t) => {
  const app = await createApp(t)
  const ids: string[] = []
  function note (this: background.TaskContext): void { ids.push(this.id) }
  const runs = app.background.addTasks([note, note])
  const before = runs.map((run) => run.id)
  await app.background.idle()

  for (const id of before) t.match(id, UUID)
  t.not(before[0], before[1])
  t.strictSame(ids, before, 'as the task saw it')
  t.strictSame(runs.map((run) => run.id), before, 'as it is afterwards')
})

t.test('the id of a run can be read for the first time when it is finished', async (t) => {
  const app = await createApp(t)
  const run = app.background.addTask(() => {})
  await app.background.idle()

  t.match(run.id, UUID)
  t.equal(run.id, run.id)
  t.equal(app.background.get(run.id), undefined)
})

t.test('a run has the name of its function', async (t) => {
  const app = await createApp(t)
  const seen: string[] = []
  function named (this: background.TaskContext): void { seen.push(this.name) }
  const tasks: Array<[expected: string, task: () => unknown]> = [
    ['named', named],
    ['anonymous', (() => () => {})()],
    ['anonymous', Object.defineProperty(() => {}, 'name', { value: '' })],
    ['anonymous', Object.defineProperty(() => {}, 'name', { value: { no: 'string' } })],
    ['bound named', named.bind({} as background.TaskContext)]
  ]
  for (const [expected, task] of tasks) {
    t.equal(app.background.addTask(task).name, expected)
    t.equal(app.background.addTask(new BackgroundTask(task)).name, expected)
  }
  await app.background.idle()
  t.strictSame(seen.slice(0, 2), ['named', 'named'])
})

t.test('a run goes from queued to active to completed', async (t) => {
  const app = await createApp(t)
  const go = latch()
  const inside: unknown[] = []
  let run!: background.TaskRun<string>
  await serve(app, (reply) => {
    run = reply.background.addTask(async () => {
      inside.push(run.state, run.attempt, run.startedAt === undefined, run.finishedAt)
      await go
      return 'result'
    })
    t.match(run, { state: 'queued', attempt: 0, error: undefined, result: undefined, startedAt: undefined, finishedAt: undefined })
  })
  await until(() => run.state !== 'queued')

  t.strictSame(inside, ['active', 1, false, undefined])
  t.match(run, { state: 'active', attempt: 1, error: undefined, result: undefined, startedAt: Number, finishedAt: undefined })
  go.open()
  await run.finished()
  t.match(run, { state: 'completed', attempt: 1, error: undefined, result: 'result', startedAt: Number, finishedAt: Number })
})

t.test('a run goes from queued to active to failed', async (t) => {
  const app = await createApp(t)
  const error = new Error('broken')
  const go = latch()
  const run = app.background.addTask(async () => {
    await go
    throw error
  })
  t.equal(run.state, 'queued')
  await until(() => run.state !== 'queued')

  t.equal(run.state, 'active')
  go.open()
  await run.finished()
  t.match(run, { state: 'failed', attempt: 1, result: undefined, startedAt: Number, finishedAt: Number })
  t.equal(run.error, error)
})

t.test('a run whose condition is not met goes from queued to discarded', async (t) => {
  const app = await createApp(t, { when: 'error' })
  let run!: background.TaskRun
  await serve(app, (reply) => { run = reply.background.addTask(() => 'result') })
  await run.finished()

  t.match(run, { state: 'discarded', attempt: 0, error: undefined, result: undefined, startedAt: undefined, finishedAt: Number })
})

t.test('a run whose condition throws goes from queued to failed', async (t) => {
  const error = new Error('no condition')
  const app = await createApp(t, { when () { throw error } })
  let run!: background.TaskRun
  await serve(app, (reply) => { run = reply.background.addTask(() => 'result') })
  await run.finished()

  t.match(run, { state: 'failed', attempt: 0, result: undefined, startedAt: undefined, finishedAt: Number })
  t.equal(run.error, error)
})

t.test('the times of a run are those at which it is accepted, starts and ends', async (t) => {
  const now = Date.now
  t.teardown(() => { Date.now = now })
  const app = await createApp(t)
  const go = latch()
  Date.now = () => 1000
  const run = app.background.addTask(() => go)
  Date.now = () => 2000
  await until(() => run.state === 'active')
  Date.now = () => 3000
  go.open()
  await run.finished()
  Date.now = now

  t.strictSame([run.queuedAt, run.startedAt, run.finishedAt], [1000, 2000, 3000])
})

t.test('the result of a run is what its function returned or resolved with', async (t) => {
  const app = await createApp(t)
  const result = { of: 'a call' }
  const run = app.background.addTask((value: object) => value, result)
  const later = app.background.addTask(async (value: object) => value, result)
  const none = app.background.addTask(() => {})
  await app.background.idle()

  t.equal(run.result, result)
  t.equal(later.result, result)
  t.equal(none.result, undefined)
})

t.test('finished() resolves with the run itself, asked before its end or after', async (t) => {
  const app = await createApp(t)
  const go = latch()
  const resolved: string[] = []
  const run = app.background.addTask(() => go)
  const before = run.finished().then((run) => { resolved.push(`asked before: ${run.state}`); return run })
  await until(() => run.state === 'active')
  const during = run.finished()
  await turn()

  t.strictSame(resolved, [], 'not while it is at work')
  go.open()
  t.equal(await before, run)
  t.equal(await during, run)
  t.equal(await run.finished(), run)
  t.strictSame(resolved, ['asked before: completed'])
})

t.test('finished() resolves where the task has failed', async (t) => {
  const app = await createApp(t)
  const run = app.background.addTask(() => { throw new Error('broken') })

  t.equal((await run.finished()).state, 'failed')
  t.equal((await run.finished()).error, run.error)
})

t.test('a run cannot be changed from outside', async (t) => {
  const app = await createApp(t)
  const run = app.background.addTask(() => 'result')
  await run.finished()

  for (const key of ['id', 'state', 'attempt', 'error', 'result', 'startedAt', 'finishedAt']) {
    t.equal(Reflect.set(run, key, 'changed'), false, key)
  }
  t.match(run, { state: 'completed', result: 'result' })
})

t.test('get() finds an unfinished run by its id, in every state and every place', async (t) => {
  const app = await createApp(t)
  const go = latch()
  const wait = (): Promise<void> => go
  const runs: background.TaskRun[] = []
  await serve(app, (reply) => {
    runs.push(reply.background.addTask(wait), ...reply.background.addTasks(new BackgroundTasks([wait, wait])))
    for (const run of runs) t.equal(app.background.get(run.id), run)
  })
  runs.push(app.background.addTask(wait))
  await until(() => runs[0].state === 'active' && runs[3].state === 'active')

  for (const run of runs) t.equal(app.background.get(run.id), run)
  t.strictSame(runs.map((run) => run.state), ['active', 'queued', 'queued', 'active'])
  go.open()
  await app.background.idle()
  t.strictSame(runs.map((run) => app.background.get(run.id)), [undefined, undefined, undefined, undefined])
})

t.test('get() finds nothing by an id that it does not know', async (t) => {
  const app = await createApp(t)
  const other = await createApp(t)
  const go = latch()
  const run = other.background.addTask(() => go)

  t.equal(app.background.get(run.id), undefined, 'the run of another application')
  t.equal(app.background.get(''), undefined)
  t.equal(app.background.get('constructor'), undefined)
  t.equal(app.background.get(undefined as never), undefined)
  go.open()
})
