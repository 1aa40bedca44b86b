import { Module } from 'node:module'
import { Redis } from 'ioredis'
import t from 'tap'
import { bullmq, type BullmqOptions } from '../../lib/engines/bullmq'

const REDIS = 'redis://127.0.0.1:1'
const INVALID = { code: 'FST_ERR_BACKGROUND_INVALID_OPTION' }

t.test('options are checked when the engine is made, and the wrong one is named', async (t) => {
  const client = new Redis({ lazyConnect: true })
  const wrong: Array<[name: string, options: object]> = [
    ['queue', { queue: undefined }], ['queue', { queue: '' }], ['queue', { queue: 'a:b' }], ['queue', { queue: 1 }],
    ['connection', { connection: undefined }], ['connection', { connection: 'localhost:6379' }], ['connection', { connection: client }],
    ['connection', { connection: [] }], ['prefix', { prefix: '' }], ['prefix', { prefix: 'x', connection: 'postgres://x' }],
    ['concurrency', { concurrency: 0 }], ['concurrency', { concurrency: Infinity }], ['lockDuration', { lockDuration: 99 }],
    ['timeout', { timeout: 0 }], ['keepCompleted', { keepCompleted: 5 }], ['keepCompleted.count', { keepCompleted: { count: -1 } }],
    ['keepFailed.age', { keepFailed: { age: 1.5 } }], ['keepFailed.x', { keepFailed: { x: 1 } }], ['migrate', { migrate: 1 }],
    ['migrate', { migrate: true }], ['unknown', { unknown: 1 }]
  ]
  for (const [name, options] of wrong) {
    t.throws(() => bullmq({ queue: 'q', connection: REDIS, ...options } as BullmqOptions), { ...INVALID, message: `Option "${name}"` }, name)
  }
})

t.test('a connection that no client could make fails when the engine is made, and tells no secret', async (t) => {
  const wrong: unknown[] = [
    'redis://:secret@h:99999', 'redis://:secret%zz@h', 'redis://:secret@h/abc', 'redis://:secret@h?keyPrefix=x', 'redis://h h', 'postgres://u:secret@h:99999/x',
    { port: 'abc' }, { port: 65_536 }, { port: 1.5 }, { port: -1 }, { db: 'abc' }, { url: 'redis://:secret@h:99999' }, { keyPrefix: 'x:' }
  ]
  for (const connection of wrong) {
    t.throws(() => bullmq({ queue: 'q', connection } as BullmqOptions), { ...INVALID, message: /^Option "connection"(?!.*secret)/ }, JSON.stringify(connection))
  }
  t.throws(() => bullmq({ queue: 'q', connection: { keyPrefix: 'x:' } }), { message: /"prefix" is the option for it, got "x:"$/ })
})

t.test('a URL that is refused is not in the error: it may hold a password', async (t) => {
  t.throws(() => bullmq({ queue: 'q', connection: 'rediss:/user:secret@host' }), { ...INVALID, message: /^(?!.*secret)/ })
})

t.test('right options make an engine, and connect to nothing', async (t) => {
  const right = [
    REDIS, 'rediss://host', 'rediss://a:%40@host:1/0', { host: 'x' }, { port: 6379, db: 1, keyPrefix: '' }, { port: '6379' as never }, { url: REDIS } as object,
    'postgres://host/db', 'postgresql://host/db', 'postgres://u:a%zz@/db?host=/run'
  ]
  for (const connection of right) {
    t.match(bullmq({ queue: 'q', connection }), { name: 'bullmq', features: { local: false } })
  }
})

t.test('a package that is missing is named, with what to do', async (t) => {
  const module = Module as unknown as { _load: (name: string, ...rest: unknown[]) => unknown }
  const load = module._load
  t.teardown(() => { module._load = load })
  for (const [name, connection] of [['bullmq', REDIS], ['ioredis', REDIS], ['bullmq', 'postgres://x'], ['pg', 'postgres://x']] as const) {
    module._load = (asked, ...rest) => {
      if (asked === name) throw Object.assign(new Error(`Cannot find module '${name}'\nRequire stack`), { code: 'MODULE_NOT_FOUND' })
      return load(asked, ...rest)
    }
    t.throws(() => bullmq({ queue: 'q', connection }), { ...INVALID, message: `npm i ${name}` })
    module._load = (asked, ...rest) => {
      if (asked === name) throw new Error('broken')
      return load(asked, ...rest)
    }
    t.throws(() => bullmq({ queue: 'q', connection }), { message: 'broken' })
  }
})
