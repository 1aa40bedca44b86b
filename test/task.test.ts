import t, { type Test } from 'tap'
import background from '../lib/index'
import { createApp } from './helpers/app'
import { counts } from './helpers/counts'
import { serve } from './helpers/serve'

const { BackgroundTask, BackgroundTasks } = background

const functions: Record<string, () => unknown> = {
  'a function': function () {},
  'an arrow function': () => {},
  'an async function': async () => {},
  'a method': { method () {} }.method,
  'a bound function': bound.bind(null),
  'a frozen function': Object.freeze(function () {}),
  'a proxy of a function': new Proxy(function () {}, {}),
  'a function without a name': Object.defineProperty(() => {}, 'name', { value: undefined })
}

for (const [what, fn] of Object.entries(functions)) {
  t.test(`a BackgroundTask takes ${what}`, async (t) => {
    const app = await createApp(t)
    const run = app.background.addTask(new BackgroundTask(fn))
    await app.background.idle()

    t.equal(run.state, 'completed')
  })
}

const invalid: Record<string, [value: unknown, got: RegExp]> = {
  undefined: [undefined, /got undefined$/],
  null: [null, /got null$/],
  'a number': [7, /got number 7$/],
  'a symbol': [Symbol('task'), /got symbol Symbol\(task\)$/],
  'a string': ['sendEmail', /got "sendEmail"$/],
  'an object': [{}, /got an object$/],
  'a list': [[() => {}], /got a list$/],
  'the promise of a call': [Promise.resolve(), /got a Promise: pass the function and its arguments, not the result of calling it$/],
  'a generator function': [function * generator () {}, /got a generator function$/],
  'an async generator function': [async function * generator () {}, /got a generator function$/],
  'a class': [class Email {}, /got the class Email, which cannot be called$/]
}

for (const [what, [value, got]] of Object.entries(invalid)) {
  t.test(`${what} cannot be a task`, async (t) => {
    const app = await createApp(t)
    const fn = value as () => void
    refuses(t, () => new BackgroundTask(fn), /^new BackgroundTask\(\): expected a function or a BackgroundTask/, got)
    refuses(t, () => new BackgroundTasks([fn]), /^new BackgroundTasks\(\): /, got)
    refuses(t, () => new BackgroundTasks().addTask(fn), /^addTask\(\): /, got)
    refuses(t, () => app.background.addTask(fn), /^addTask\(\): /, got)
    refuses(t, () => app.background.addTasks([() => {}, fn]), /^addTasks\(\): /, got)
    const response = await serve(app, (reply) => {
      refuses(t, () => reply.background.addTask(fn), /^addTask\(\): /, got)
      refuses(t, () => reply.background.addTasks([() => {}, fn]), /^addTasks\(\): /, got)
      t.equal(reply.background.size, 0)
    })

    t.equal(response.statusCode, 200)
    t.strictSame(app.background.stats(), counts(), 'nothing is accepted')
  })
}

t.test('a BackgroundTask is not made of another', async (t) => {
  const task = new BackgroundTask(() => {}) as unknown as () => void
  refuses(t, () => new BackgroundTask(task), /^new BackgroundTask\(\): expected a function, got a BackgroundTask$/)
})

t.test('the error of a wrong task is thrown in the stack of the caller', async (t) => {
  const app = await createApp(t)
  function caller (): void {
    app.background.addTask(null as never)
  }
  refuses(t, caller)
  t.match(thrownBy(caller).stack, /at caller /)
})

t.test('a BackgroundTask shows its function and its arguments', async (t) => {
  const fn = (a: number, b: string): string => `${a}${b}`
  const task = new BackgroundTask(fn, 1, 'x')

  t.equal(task.fn, fn)
  t.strictSame(task.args, [1, 'x'])
})

t.test('a BackgroundTask with arguments beside it is refused, as it has its own', async (t) => {
  const app = await createApp(t)
  const task = new BackgroundTask((name: string) => name, 'own')
  const add = app.background.addTask as (...args: unknown[]) => unknown
  const group = new BackgroundTasks()

  refuses(t, () => add.call(app.background, task, 'further'), /no further arguments.*got 1, the first "further"$/)
  refuses(t, () => add.call(group, task, 'further'), /no further arguments/)
  t.equal(group.tasks.length, 0)
  t.strictSame(app.background.stats(), counts())
})

t.test('a group where one task belongs is refused, and says where it belongs', async (t) => {
  const app = await createApp(t)

  refuses(t, () => app.background.addTask(new BackgroundTasks([() => {}]) as never), /pass it to addTasks\(\)$/)
  refuses(t, () => new BackgroundTasks([new BackgroundTasks() as never]), /pass it to addTasks\(\)$/)
})

t.test('what is no list of tasks is refused', async (t) => {
  const app = await createApp(t)
  for (const value of [undefined, null, () => {}, new BackgroundTask(() => {}), 'tasks', new Set([() => {}])]) {
    refuses(t, () => app.background.addTasks(value as never), /^addTasks\(\): expected a list of tasks, got /)
  }
  refuses(t, () => new BackgroundTasks(null as never), /expected a list of tasks, got null$/)
  refuses(t, () => new BackgroundTasks((() => {}) as never), /expected a list of tasks, got a function$/)
  t.strictSame(app.background.stats(), counts())
})

t.test('an empty list, and an empty group, add nothing', async (t) => {
  const app = await createApp(t)
  await serve(app, (reply) => {
    t.strictSame(reply.background.addTasks([]), [])
    t.strictSame(reply.background.addTasks(new BackgroundTasks()), [])
    reply.background.addTask(() => {})
  })
  t.strictSame(app.background.addTasks([]), [])
  t.strictSame(app.background.addTasks(new BackgroundTasks()), [])
  await app.background.idle()

  t.strictSame(app.background.stats(), counts({ accepted: 1, completed: 1 }))
})

t.test('one BackgroundTask serves every request, with its own arguments', async (t) => {
  const app = await createApp(t)
  const calls: unknown[][] = []
  const task = new BackgroundTask((...args: unknown[]) => { calls.push(args) }, 'own', 1)
  app.get('/route', { background: task }, async () => 'ok')
  const runs: background.TaskRun[] = []
  await serve(app, (reply) => {
    runs.push(reply.background.addTask(task), reply.background.addTask(task))
  })
  await app.inject('/')
  await app.inject('/route')
  await app.inject('/route')
  runs.push(app.background.addTask(task))
  await app.background.idle()

  t.strictSame(calls, new Array(7).fill(['own', 1]))
  t.equal(new Set(runs.map((run) => run.id)).size, 5, 'each run is its own')
  t.strictSame(task.args, ['own', 1])
})

t.test('a group shows its tasks and its rules', async (t) => {
  const task = new BackgroundTask(() => {})
  const fn = (name: string): string => name
  const group = new BackgroundTasks([task, () => {}], { concurrency: 2, onFailure: 'stop' })

  t.equal(group.addTask(fn, 'argument'), group, 'addTask can be chained')
  t.equal(group.addTask(task), group)
  t.equal(group.tasks.length, 4)
  t.equal(group.tasks[0], task)
  t.strictSame(group.tasks[2].args, ['argument'])
  t.equal(group.concurrency, 2)
  t.equal(group.onFailure, 'stop')
})

t.test('a group without options runs one task at a time and goes on after a failure', async (t) => {
  for (const group of [new BackgroundTasks(), new BackgroundTasks([], { concurrency: undefined, onFailure: undefined })]) {
    t.equal(group.concurrency, 1)
    t.equal(group.onFailure, 'continue')
    t.strictSame(group.tasks, [])
  }
})

for (const concurrency of [0, -1, 1.5, NaN, -Infinity, '2', null]) {
  t.test(`a group of a concurrency of ${JSON.stringify(concurrency)} (${typeof concurrency}) is refused`, async (t) => {
    t.throws(() => new BackgroundTasks([], { concurrency: concurrency as number }), {
      code: 'FST_ERR_BACKGROUND_INVALID_OPTION', message: /^Option "concurrency": expected an integer of at least 1, or Infinity, got /
    })
  })
}

for (const onFailure of ['', 'Stop', 'abort', true, null]) {
  t.test(`a group with onFailure ${JSON.stringify(onFailure)} is refused`, async (t) => {
    t.throws(() => new BackgroundTasks([], { onFailure: onFailure as 'stop' }), {
      code: 'FST_ERR_BACKGROUND_INVALID_OPTION', message: /^Option "onFailure": expected 'continue' or 'stop', got /
    })
  })
}

t.test('a group with an unknown option is refused', async (t) => {
  const expected = { code: 'FST_ERR_BACKGROUND_INVALID_OPTION' }
  t.throws(() => new BackgroundTasks([], { onfailure: 'stop' } as never), {
    ...expected, message: "Option \"onfailure\": expected one of 'concurrency', 'onFailure', got an unknown name"
  })
  t.throws(() => new BackgroundTasks([], null as never), expected)
  t.throws(() => new BackgroundTasks([], 2 as never), expected)
})

function bound (this: unknown): void {}

function thrownBy (fn: () => unknown): Error {
  try {
    fn()
  } catch (error) {
    return error as Error
  }
  throw new Error('nothing was thrown')
}

/** A wrong task is a TypeError with a code, whose message matches all of `messages`. */
function refuses (t: Test, fn: () => unknown, ...messages: RegExp[]): void {
  const error = thrownBy(fn)
  t.type(error, TypeError)
  t.match(error, { code: 'FST_ERR_BACKGROUND_INVALID_TASK', statusCode: 500 })
  for (const message of messages) t.match(error.message, message)
}
