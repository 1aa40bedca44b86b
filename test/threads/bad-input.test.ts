import Module from 'node:module'
import { pathToFileURL } from 'node:url'
import Fastify from 'fastify'
import t from 'tap'
import { BackgroundTask, BackgroundTasks, errorCodes } from '../../lib/index'
import { threads, threadTask } from '../../lib/threads/threads'
import { createApp } from '../helpers/app'
import { fixture, keepThreads } from '../helpers/threads'

const { FST_ERR_BACKGROUND_INVALID_TASK: INVALID, FST_ERR_BACKGROUND_NOT_CLONEABLE: NOT_CLONEABLE } = errorCodes

t.setTimeout(600_000)
keepThreads(t, { maxThreads: 1 })

const echo = threadTask<(...values: unknown[]) => unknown>(fixture(), { export: 'echo', name: 'echo' })

t.test('a file that is not there, or no absolute path, is refused when the task is defined', async (t) => {
  const missing = fixture('missing.mjs')
  for (const [file, got] of [
    [missing, JSON.stringify(missing)],
    [pathToFileURL(missing), pathToFileURL(missing).href],
    [pathToFileURL(missing).href, `"${pathToFileURL(missing).href}"`],
    ['./test/fixtures/threads/work.mjs', '"./test/fixtures/threads/work.mjs"'],
    [fixture('.'), JSON.stringify(fixture('.'))],
    [new URL('https://example.com/work.mjs'), 'https://example.com/work.mjs'],
    ['file://example.com/work.mjs', '"file://example.com/work.mjs"'],
    [undefined, 'undefined'],
    [echo, 'a function']
  ] as Array<[string, string]>) {
    t.throws(() => threadTask(file), { message: `threadTask(): expected the absolute path or the file: URL of a file that is there, got ${got}` })
    t.throws(() => threadTask(file), INVALID)
  }
})

t.test('a wrong or unknown option is refused when the task is defined', async (t) => {
  for (const [options, message] of [
    [{ export: '' }, 'Option "export": expected a string that is not empty, got ""'],
    [{ export: 1 }, 'Option "export": expected a string that is not empty, got number 1'],
    [{ timeout: -1 }, /^Option "timeout": expected an integer of milliseconds/],
    [{ retrys: 1 }, /^Option "retrys": expected one of 'name'.*'export'.* got an unknown name$/],
    [null, 'Option "options": expected an object, got null']
  ] as Array<[object, string]>) t.throws(() => threadTask(fixture(), options), { code: 'FST_ERR_BACKGROUND_INVALID_OPTION', message })
})

t.test('piscina is named where it is missing, with what to do', async (t) => {
  const module = Module as unknown as { _load: (name: string, ...rest: unknown[]) => unknown }
  const load = module._load
  t.teardown(() => { module._load = load })
  module._load = (asked, ...rest) => {
    if (asked === 'piscina') throw new Error('Cannot find module \'piscina\'\nRequire stack')
    return load(asked, ...rest)
  }
  const missing = { code: 'FST_ERR_BACKGROUND_INVALID_OPTION', message: /package piscina \(npm i piscina\), got an error: Cannot find module 'piscina'$/ }
  t.throws(() => threadTask(fixture()), missing)
  await t.rejects(async () => { await Fastify().register(threads) }, missing)
})

t.test('a wrong or unknown option of the plugin is refused at registration', async (t) => {
  for (const [options, message] of [
    [{ maxThreads: 0 }, 'Option "maxThreads": expected an integer from 1 to 1024, got number 0'],
    [{ maxThreads: 1.5 }, 'Option "maxThreads": expected an integer from 1 to 1024, got number 1.5'],
    [{ maxThreads: 1025 }, 'Option "maxThreads": expected an integer from 1 to 1024, got number 1025'],
    [{ abortTimeout: -1 }, /^Option "abortTimeout"/],
    [{ maxMemory: 15 }, 'Option "maxMemory": expected an integer from 16 to 1048576, got number 15'],
    [{ maxMemory: Infinity }, /^Option "maxMemory"/],
    [{ threads: 1 }, /^Option "threads": expected one of/],
    [{ maxMemory: 64 }, 'Option "maxMemory": expected none, as the application has it that opened the threads of this process, got 64']
  ] as Array<[object, string]>) await t.rejects(async () => { await Fastify().register(threads, options) }, { code: 'FST_ERR_BACKGROUND_INVALID_OPTION', message })
})

t.test('an argument that cannot be cloned is refused at the call, by its path', async (t) => {
  const app = await createApp(t)
  const error = t.throws(() => app.background.addTask(echo, 1, { callback () {} }))
  t.type(error, NOT_CLONEABLE)
  t.type(error, TypeError)
  t.match(error, { message: 'Background task "echo": args[1].callback cannot be sent between threads, got a function' })
  t.throws(() => app.background.addTask(new BackgroundTask(echo, Symbol('a'))), { message: /args\[0\] cannot .* got symbol Symbol\(a\)/ })
  t.throws(() => app.background.addTasks([() => {}, new BackgroundTask(echo, [new WeakMap()])] as never), NOT_CLONEABLE)
  t.throws(() => app.background.addTasks(new BackgroundTasks().addTask(echo, () => {})), NOT_CLONEABLE)
  t.equal(app.background.stats().accepted, 0)
})

t.test('it is refused at boot on a route', async (t) => {
  const app = await createApp(t)
  t.throws(() => app.get('/', { background: new BackgroundTask(echo, () => {}) }, async () => 'ok'), NOT_CLONEABLE)
  t.throws(() => app.get('/', { background: new BackgroundTasks().addTask(echo, () => {}) }, async () => 'ok'), NOT_CLONEABLE)
})

t.test('a thread task alone on a route is refused at boot: it would get request and reply', async (t) => {
  const app = await createApp(t)
  t.throws(() => app.get('/', { background: echo }, async () => 'ok'), {
    code: 'FST_ERR_BACKGROUND_INVALID_TASK',
    message: 'Route GET /: expected a function, or a task with arguments, got the task echo, which cannot be called with request and reply'
  })
})

t.test('arguments that change into what cannot be cloned fail the attempt', async (t) => {
  const app = await createApp(t)
  const argument: Record<string, unknown> = {}
  const run = app.background.addTask(echo, argument)
  argument.later = () => {}
  t.match(await run.finished(), { state: 'failed', error: { message: 'Background task "echo": args[0].later cannot be sent between threads, got a function' } })
  await t.rejects(echo(() => {}), NOT_CLONEABLE)
})

t.test('a result that cannot be cloned fails the attempt, by its path', async (t) => {
  const app = await createApp(t)
  const run = await app.background.addTask(threadTask(fixture(), { export: 'stream' })).finished()
  t.match(run, { state: 'failed', error: { message: /^Background task "stream": result\.file\.\w+ cannot be sent between threads, got a function$/ } })
  t.type(run.error, NOT_CLONEABLE)
})

t.test('a file without the function, or one that cannot be loaded, is an error at boot', async (t) => {
  for (const [file, exported, expected] of [
    ['nothing.mjs', 'missing', 'expected a function exported as "missing", got undefined'],
    ['nothing.mjs', 'text', 'expected a function exported as "text", got "no function"'],
    ['nothing.mjs', 'default', 'expected a function exported as "default", got undefined'],
    ['nothing.mjs', 'Resizer', 'expected a function or a BackgroundTask, got the class Resizer, which cannot be called'],
    ['nothing.mjs', 'pieces', 'expected a function or a BackgroundTask, got a generator function'],
    ['broken.mjs', 'default', 'expected a file that can be loaded, got an error: cannot be loaded']
  ]) {
    const task = threadTask(fixture(file), { export: exported })
    const app = Fastify({ pluginTimeout: 0 })
    await app.register(threads)
    const error = await app.ready().then(() => undefined, (error) => error)
    t.type(error, INVALID)
    t.match(error, { message: `threadTask() of ${pathToFileURL(fixture(file)).href}: ${expected}` })
    await app.close()
    await t.rejects(task(), INVALID)
    require('../../lib/threads/worker-file').markSeen({ url: pathToFileURL(fixture(file)).href, exported })
  }
})
