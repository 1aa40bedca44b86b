import { inspect } from 'node:util'
import t from 'tap'
import background from '../lib/index'
import { createApp } from './helpers/app'
import { latch, turn, until } from './helpers/latch'
import { AT_ONCE, IN_A_MINUTE, never, onEvent } from './helpers/policies'
import { serve } from './helpers/serve'

const { BackgroundTasks, defineTask } = background
const A_NUMBER = 'a number from 0 to 1, or { value, message } with such a number'

t.test('a run has the progress that its function has said last', async (t) => {
  const app = await createApp(t)
  const seen: unknown[] = []
  let run!: background.TaskRun
  await serve(app, (reply) => {
    run = reply.background.addTask(async function () {
      const say = (...[value]: Parameters<background.TaskContext['progress']>): void => {
        seen.push(this.progress(value), run.progress)
      }
      seen.push(run.progress)
      say(0)
      await turn()
      say({ value: 0.5, message: 'half of it' })
      say({ value: 0.25 })
      say({ value: 0.75, message: '' })
      say(1)
    })
    seen.push(run.progress)
  })
  await run.finished()

  t.strictSame(seen, [
    undefined, undefined,
    undefined, { value: 0, message: undefined }, undefined, { value: 0.5, message: 'half of it' },
    undefined, { value: 0.25, message: undefined }, undefined, { value: 0.75, message: '' },
    undefined, { value: 1, message: undefined }
  ])
  t.strictSame(run.progress, { value: 1, message: undefined }, 'it keeps it when it is finished')
})

t.test('a progress is a frozen copy, without what else it was given', async (t) => {
  const app = await createApp(t)
  const given = { value: 0.5, message: 'half of it', more: 'not kept' }
  const run = await app.background.addTask(function () {
    this.progress(given)
    given.value = 0.9
  }).finished()

  t.strictSame(run.progress, { value: 0.5, message: 'half of it' })
  t.notOk(Reflect.set(run.progress!, 'value', 1))
  t.notOk(Reflect.set(run, 'progress', 1))
})

t.test('the progress may be inherited or computed', async (t) => {
  class Done {
    get value (): number { return 0.5 }
    get message (): string { return 'half of it' }
  }
  const app = await createApp(t)
  const run = await app.background.addTask(function () { this.progress(new Done()) }).finished()

  t.strictSame(run.progress, { value: 0.5, message: 'half of it' })
})

for (const [given, option, expected, got] of [
  [-0.001, 'progress', A_NUMBER, 'number -0.001'],
  [1.001, 'progress', A_NUMBER, 'number 1.001'],
  [50, 'progress', A_NUMBER, 'number 50'],
  [NaN, 'progress', A_NUMBER, 'number NaN'],
  [Infinity, 'progress', A_NUMBER, 'number Infinity'],
  ['0.5', 'progress', A_NUMBER, '"0.5"'],
  [true, 'progress', A_NUMBER, 'boolean true'],
  [1n, 'progress', A_NUMBER, 'bigint 1'],
  [null, 'progress', A_NUMBER, 'null'],
  [undefined, 'progress', A_NUMBER, 'undefined'],
  [{}, 'progress', A_NUMBER, 'undefined'],
  [{ value: null }, 'progress', A_NUMBER, 'null'],
  [{ value: '1' }, 'progress', A_NUMBER, '"1"'],
  [{ value: 2, message: 'too much' }, 'progress', A_NUMBER, 'number 2'],
  [{ message: 'half of it' }, 'progress', A_NUMBER, 'undefined'],
  [{ value: 0.5, message: 1 }, 'progress.message', 'a string', 'number 1'],
  [{ value: 0.5, message: null }, 'progress.message', 'a string', 'null'],
  [{ value: 0.5, message: ['half'] }, 'progress.message', 'a string', 'a list']
] as const) {
  t.test(`progress(${inspect(given)}) throws at the call, and is not kept`, async (t) => {
    const app = await createApp(t)
    const published: unknown[] = []
    onEvent(t, app, 'progress', ({ progress }) => { published.push(progress.value) })
    const error = {
      code: 'FST_ERR_BACKGROUND_INVALID_OPTION', statusCode: 500, message: `Option "${option}": expected ${expected}, got ${got}`
    }
    const run = await app.background.addTask(function () {
      this.progress(0.5)
      this.progress(given as never)
    }).finished()

    t.match(run, { state: 'failed', error })
    t.equal((run.error as Error).message, error.message)
    t.strictSame(run.progress, { value: 0.5, message: undefined })
    t.strictSame(published, [0.5])
  })
}

t.test('each attempt begins without a progress; between two attempts the last one is kept', async (t) => {
  const app = await createApp(t, { retries: 1, backoff: AT_ONCE })
  const seen: unknown[] = []
  onEvent(t, app, 'retrying', ({ run }) => { seen.push(['retrying', run.progress?.value]) })
  const run: background.TaskRun = app.background.addTask(async function () {
    seen.push([this.attempt, run.progress])
    if (this.attempt === 2) return
    this.progress(0.5)
    await turn()
    throw new Error('broken')
  })
  await run.finished()

  t.strictSame(seen, [[1, undefined], ['retrying', 0.5], [2, undefined]])
  t.equal(run.progress, undefined)
})

t.test('what a function says of its progress when its attempt is over is ignored, and harms nobody', async (t) => {
  const app = await createApp(t)
  const contexts: background.TaskContext[] = []
  const published: unknown[] = []
  onEvent(t, app, 'progress', ({ progress }) => { published.push(progress.value) })
  const add = (end: () => unknown, options: background.TaskOptions = {}): background.TaskRun => {
    return app.background.addTask(defineTask(function () {
      contexts.push(this)
      this.progress(0.5)
      return end()
    }, options))
  }
  const runs = [
    add(() => {}),
    add(() => { throw new Error('broken') }),
    add(() => { throw new Error('broken') }, { retries: 1, backoff: IN_A_MINUTE }),
    add(never, { timeout: 5 }),
    add(never)
  ]
  await until(() => runs[4].state === 'active')
  runs[4].cancel()
  await runs[3].finished()

  t.strictSame(runs.map(({ state }) => state), ['completed', 'failed', 'retrying', 'failed', 'cancelled'])
  for (const context of contexts) t.equal(context.progress(0.9), undefined)
  t.strictSame(runs.map(({ progress }) => progress?.value), [0.5, 0.5, 0.5, 0.5, 0.5])
  t.strictSame(published, [0.5, 0.5, 0.5, 0.5, 0.5])
  runs[2].cancel()
})

t.test('what the first attempt says is not taken for the progress of the second', async (t) => {
  const app = await createApp(t)
  const go = latch()
  const contexts: background.TaskContext[] = []
  const run = app.background.addTask(defineTask(async function () {
    contexts.push(this)
    if (this.attempt === 1) throw new Error('broken')
    this.progress(0.1)
    await go
  }, { retries: 1, backoff: AT_ONCE }))
  await until(() => contexts.length === 2)
  contexts[0].progress(0.9)
  const before = run.progress?.value
  contexts[1].progress(0.2)

  t.strictSame([before, run.progress?.value], [0.1, 0.2])
  go.open()
  await run.finished()
})

t.test('the runs of a group have a progress of their own each', async (t) => {
  const app = await createApp(t)
  const contexts: background.TaskContext[] = []
  const go = latch()
  const task = function (this: background.TaskContext): Promise<void> {
    contexts.push(this)
    return go
  }
  const runs = app.background.addTasks(new BackgroundTasks([task, task], { concurrency: 2 }))
  await until(() => contexts.length === 2)
  contexts[0].progress(0.1)
  contexts[1].progress({ value: 0.2, message: 'second' })

  t.strictSame(runs.map(({ progress }) => progress), [{ value: 0.1, message: undefined }, { value: 0.2, message: 'second' }])
  go.open()
  await app.background.idle()
})
