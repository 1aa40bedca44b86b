// The inside of a thread, in this one.
import { on } from 'node:events'
import { pathToFileURL } from 'node:url'
import { MessageChannel } from 'node:worker_threads'
import t from 'tap'
import { errorCodes } from '../../lib/index'
import type { FromThread, SentCall } from '../../lib/threads/messages'
import { ThreadContext } from '../../lib/threads/thread-context'
import { fromThrown, toThrown } from '../../lib/threads/thrown'
import work from '../../lib/threads/worker'
import { latch } from '../helpers/latch'
import { fixture, sharedNumbers } from '../helpers/threads'

const context = { id: 'an-id', name: 'work', attempt: 2, logLevel: 'info' }

t.test('it says that it is at it, then what the function has returned', async (t) => {
  t.strictSame(await ask('echo', { args: [1] }), [{ kind: 'started' }, { kind: 'result', result: 1, isBuffer: false }])
  t.match(await ask('toBuffer', { args: ['text'] }), [{}, { kind: 'result', isBuffer: true }])
})

t.test('arguments that were buffers are such', async (t) => {
  const [, answer] = await ask('default', { args: [1, new Uint8Array([97])], buffers: [1] })
  t.match(answer, { kind: 'result', result: { isMainThread: true, args: [1, 'buffer a'] } })
})

t.test('it says whether the function is there, without calling it', async (t) => {
  t.strictSame((await ask('exit', undefined))[1], { kind: 'result', result: undefined, isBuffer: false })
})

t.test('the function has its context', async (t) => {
  const [, answer] = await ask('context', {})
  t.match(answer, { result: { id: 'an-id', name: 'work', attempt: 2, aborted: false } })
})

t.test('it says what the function says', async (t) => {
  const said = await ask('log', {})
  t.match(said.slice(1, -1), [
    { kind: 'log', level: 'info', bindings: [], args: [{ value: 'plain' }] },
    {
      kind: 'log',
      level: 'warn',
      bindings: [
        { properties: [['part', { value: 1 }], ['fn', { value: '[Function: fn]' }]] },
        { properties: [['deep', { value: true }]] }
      ],
      args: [
        { properties: [['err', { name: 'TypeError', message: 'shown' }], ['fn', { value: '[Function: fn]' }]] },
        { value: 'in %s' },
        { value: 'words' }
      ]
    },
    { kind: 'log', level: 'error', bindings: [], args: [{ name: 'RangeError', message: 'coded', own: { code: 'E_CODED' } }] },
    { kind: 'log', level: 'error', bindings: [], args: [{ value: /^Readable/ }] }
  ])
})

t.test('nothing is said to a silent log, and everything to one of another level', async (t) => {
  t.equal((await ask('log', { context: { ...context, logLevel: 'silent' } })).length, 2)
  t.match((await ask('log', { context: { ...context, logLevel: 'mine' } }))[1], { kind: 'log', level: 'debug', args: [{ value: 'not heard' }] })
})

t.test('the signal is aborted when it is told so', async (t) => {
  const said = await ask('untilAborted', { args: [sharedNumbers()] }, new Error('enough'))
  t.match(said, [
    { kind: 'started' },
    { kind: 'progress', progress: { value: 0.5, message: 'at work' } },
    { kind: 'log', args: [{ properties: [['reason', { value: { name: 'Error', message: 'enough' } }]] }, { value: 'told to end' }] },
    { kind: 'progress', progress: { value: 1 } },
    { kind: 'result' }
  ])
})

t.test('of progress in a tight loop it says a hundred a second at most, and the last', async (t) => {
  for (const args of [[100_000], [100_000, 'failed']]) {
    const progress = (await ask('count', { args })).flatMap((message) => message.kind === 'progress' ? message.progress.value : [])
    t.ok(progress.length < 10_000, `${progress.length}`)
    t.strictSame(progress, [...progress].sort((a, b) => a - b))
    t.equal(progress.at(-1), 1)
  }
})

t.test('the last is said though the function goes on', async (t) => {
  const said: unknown[] = []
  const last = latch()
  const threadContext = new ThreadContext(context, new AbortController().signal, (message) => {
    said.push(message)
    if (message.kind === 'progress' && message.progress.value === 1) last.open()
  })
  threadContext.progress(0)
  t.match(said, [{ kind: 'progress', progress: { value: 0 } }])
  threadContext.progress(0.5)
  threadContext.progress({ value: 1, message: 'done' })
  await last
  t.match(said.at(-1), { progress: { value: 1, message: 'done' } })
  const { length } = said
  threadContext.sayProgress()
  t.equal(said.length, length)
})

t.test('it says what the function throws, and what is wrong with its result', async (t) => {
  t.match(thrown(await ask('fail', { args: ['coded'] })), { message: 'coded', code: 'E_CODED' })
  t.type(thrown(await ask('stream', {})), errorCodes.FST_ERR_BACKGROUND_NOT_CLONEABLE)
})

t.test('it says what is wrong with the file', async (t) => {
  for (const [file, exported, expected] of [
    ['nothing.mjs', 'missing', 'a function exported as "missing", got undefined'],
    ['whole.cjs', 'missing', 'a function exported as "missing", got undefined'],
    ['nothing.mjs', 'pieces', 'a function or a BackgroundTask, got a generator function'],
    ['broken.mjs', 'default', 'a file that can be loaded, got an error: cannot be loaded'],
    ['throws.mjs', 'default', 'a file that can be loaded, got an error: no error']
  ]) {
    const error = thrown(await ask(exported, {}, undefined, file))
    t.type(error, errorCodes.FST_ERR_BACKGROUND_INVALID_TASK)
    t.match(error, { message: `threadTask() of ${pathToFileURL(fixture(file)).href}: expected ${expected}` })
  }
})

t.test('a function is found in CommonJS, too', async (t) => {
  t.match(await ask('default', {}, undefined, 'whole.cjs'), [{}, { result: 'whole' }])
  t.match(await ask('default', {}, undefined, 'compiled.cjs'), [{}, { result: 'compiled' }])
  t.match(await ask('not a name', {}, undefined, 'policy.cjs'), [{}, { result: 'named' }])
})

t.test('whatever is thrown can be sent', async (t) => {
  const cyclic = new Error('cyclic')
  cyclic.cause = cyclic
  const sent = (value: unknown): unknown => fromThrown(structuredClone(toThrown(value)))
  t.match(sent(cyclic), { message: 'cyclic', cause: { cause: { message: 'cyclic' } } })
  t.match(sent(() => {}), { name: 'Error', message: 'a function' })
  t.match(sent(new Proxy({}, { get () { throw new Error('hostile') }, getPrototypeOf () { throw new Error('hostile') } })), { message: 'an error that cannot be read' })
  t.match(sent(Object.defineProperty(new Error('no'), 'stack', { value: 1 })), { message: 'no', stack: undefined })
  t.match(sent(AbortSignal.abort().reason), { name: 'AbortError', message: 'This operation was aborted' })
  t.match(sent(new class Own extends Error { override name = 'Own'; detail = { deep: 1 } }('mine')), { name: 'Own', message: 'mine', detail: { deep: 1 } })
  const several = sent(new AggregateError([Object.assign(new RangeError('first'), { code: 'E_FIRST' }), 2], 'several'))
  t.type(several, AggregateError)
  t.match(several, { name: 'AggregateError', message: 'several', errors: [{ name: 'RangeError', message: 'first', code: 'E_FIRST' }, 2] })
  t.equal(sent(undefined), undefined)
  for (const name of ['toString', 'constructor', '__proto__']) {
    t.match(sent(Object.assign(new RangeError('coded'), { code: name })), { name: 'RangeError', message: 'coded', code: name })
    const named = sent(Object.assign(new Error('named'), { name }))
    t.type(named, Error)
    t.match(named, { name, message: 'named' })
  }
  t.match(sent(Object.assign(new Error('coded'), { code: { toString: 1, valueOf: 1 } })), { message: 'coded' })
})

async function ask (exported: string, call: Partial<SentCall> | undefined, reason?: Error, file = 'work.mjs'): Promise<FromThread[]> {
  const { port1, port2 } = new MessageChannel()
  const said: FromThread[] = []
  const messages = on(port1, 'message', { close: ['close'] })
  const working = work({
    file: { url: pathToFileURL(fixture(file)).href, exported, name: 'work' },
    call: call === undefined ? undefined : { args: [], buffers: [], context, ...call },
    port: port2
  })
  for await (const [message] of messages) {
    said.push(message)
    if (reason !== undefined && message.kind === 'progress' && message.progress.value < 1) port1.postMessage({ reason: toThrown(reason) })
  }
  await working
  return said
}

function thrown (said: FromThread[]): unknown {
  const last = said.at(-1)
  if (last?.kind !== 'thrown') throw new Error(`nothing was thrown: ${JSON.stringify(last)}`)
  return fromThrown(last.thrown)
}
