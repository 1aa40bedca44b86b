import { createServer } from 'node:http'
import { Type, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import { expectTypeOf } from 'expect-type'
import fastify, {
  type FastifyBaseLogger, type FastifyInstance, type FastifyPluginAsync, type FastifyReply, type FastifyRequest
} from 'fastify'
import fastifyBackground from 'fastify-background'
import { defineTask } from 'fastify-background'
import type {
  AppBackground, Backoff, BackgroundOptions, Engine, HistoryOptions, ReplyBackground, TaskDefinition, TaskRun, When
} from 'fastify-background'

declare const app: FastifyInstance
declare const options: BackgroundOptions
declare const engine: Engine

// It is a plugin, with options or without, or with a function of them.
expectTypeOf(fastifyBackground).toExtend<FastifyPluginAsync<BackgroundOptions>>()
app.register(fastifyBackground)
app.register(fastifyBackground, options)
app.register(fastifyBackground, {})
app.register(fastifyBackground, {
  when: 'always',
  timeout: 1000,
  retries: 3,
  backoff: { delay: 100, factor: 1.5, max: 10_000, jitter: false },
  concurrency: 10,
  maxPending: 1000,
  closeTimeout: 0,
  settleTimeout: 1000,
  autorun: false,
  onTaskError: (error, run) => { console.log(error, run.id) }
})
app.register(fastifyBackground, {
  engine,
  tasks: [defineTask(async (to: string) => to, { durable: true }), defineTask((days: number) => days)],
  worker: false,
  storeTimeout: 1000,
  maxArgsSize: 1000,
  maxRestarts: 3,
  unknownTaskGrace: 1000,
  history: { count: 100, age: 60_000 }
})
app.register(fastifyBackground, { concurrency: Infinity, maxPending: Infinity, backoff: {} })
app.register(fastifyBackground, (parent) => {
  expectTypeOf(parent.background).toEqualTypeOf<AppBackground>()
  return { closeTimeout: 1000 }
})
app.register(import('fastify-background'), { closeTimeout: 1000 })

// @ts-expect-error not an option of the history
app.register(fastifyBackground, { history: { size: 100 } })

// Fastify's own options of a plugin pass.
app.register(fastifyBackground, { prefix: '/', logLevel: 'warn' })

// The options are checked.
expectTypeOf<BackgroundOptions>().toEqualTypeOf<{
  engine?: Engine
  tasks?: readonly TaskDefinition[]
  worker?: boolean
  storeTimeout?: number
  maxArgsSize?: number
  maxRestarts?: number
  unknownTaskGrace?: number
  history?: HistoryOptions
  when?: When
  timeout?: number
  retries?: number
  backoff?: Backoff
  concurrency?: number
  maxPending?: number
  closeTimeout?: number
  settleTimeout?: number
  autorun?: boolean
  onTaskError?: (error: unknown, run: TaskRun) => void | Promise<void>
}>()
// @ts-expect-error an unknown option
app.register(fastifyBackground, { retry: 3 })
// @ts-expect-error an option of a definition: every task has a name of its own
app.register(fastifyBackground, { name: 'email' })
// @ts-expect-error not a number
app.register(fastifyBackground, { timeout: '1s' })
// @ts-expect-error not a number
app.register(fastifyBackground, { retries: true })
// @ts-expect-error not an object
app.register(fastifyBackground, { backoff: 'exponential' })
// @ts-expect-error an unknown option in it
app.register(fastifyBackground, { backoff: { type: 'exponential' } })
// @ts-expect-error not a number
app.register(fastifyBackground, { concurrency: '10' })
// @ts-expect-error not a number
app.register(fastifyBackground, { maxPending: null })
// @ts-expect-error not a number
app.register(fastifyBackground, { closeTimeout: '1s' })
// @ts-expect-error not a number
app.register(fastifyBackground, { settleTimeout: null })
// @ts-expect-error neither true nor false
app.register(fastifyBackground, { autorun: 'no' })
// @ts-expect-error not one of its words
app.register(fastifyBackground, { when: 'sometimes' })
// @ts-expect-error not synchronous
app.register(fastifyBackground, { when: async () => true })
// @ts-expect-error not a function
app.register(fastifyBackground, { onTaskError: 'log' })
// @ts-expect-error a function of the wrong parameters
app.register(fastifyBackground, { onTaskError: (cause: unknown, run: string) => {} })
// @ts-expect-error not an engine
app.register(fastifyBackground, { engine: {} })
// @ts-expect-error a function is not a definition
app.register(fastifyBackground, { tasks: [() => {}] })
// @ts-expect-error neither true nor false
app.register(fastifyBackground, { worker: 1 })
// @ts-expect-error a function that returns a wrong option
app.register(fastifyBackground, () => ({ closeTimeout: '1s' }))
// @ts-expect-error a function that returns an unknown option
app.register(fastifyBackground, () => ({ retry: 3 }))

// Their functions know their arguments.
expectTypeOf<When>().toEqualTypeOf<
  'always' | 'success' | 'error' | ((request: FastifyRequest, reply: FastifyReply) => boolean)
>()
expectTypeOf<BackgroundOptions['when']>().toEqualTypeOf<When | undefined>()
app.register(fastifyBackground, {
  when: (request, reply) => {
    expectTypeOf(request).toEqualTypeOf<FastifyRequest>()
    expectTypeOf(reply).toEqualTypeOf<FastifyReply>()
    return reply.statusCode < 500
  },
  onTaskError: async (error, run) => {
    expectTypeOf(error).toEqualTypeOf<unknown>()
    expectTypeOf(run).toEqualTypeOf<TaskRun>()
  }
})

// reply.background is there in every hook and handler.
app.addHook('onRequest', async (request, reply) => { expectTypeOf(reply.background).toEqualTypeOf<ReplyBackground>() })
app.addHook('onSend', async (request, reply, payload) => { reply.background.addTask((sent) => sent, payload) })
app.addHook('onResponse', async (request, reply) => { reply.background.addTask((id) => id, request.id) })
app.setErrorHandler((error, request, reply) => { reply.background.addTask((message) => message, String(error)) })
app.setNotFoundHandler((request, reply) => { reply.background.addTask((url) => url, request.url) })
app.get('/', (request, reply) => { reply.background.addTask((url) => url, request.url) })

// Servers of every kind.
const http = fastify()
http.register(fastifyBackground, { closeTimeout: 0 })
expectTypeOf(http.background).toEqualTypeOf<AppBackground>()

const https = fastify({ https: { key: '', cert: '' } })
https.register(fastifyBackground, { closeTimeout: 0 })
expectTypeOf(https.background).toEqualTypeOf<AppBackground>()
https.get('/', { background: (request) => request.ip }, async (request, reply) => { reply.background.addTask(() => {}) })

const http2 = fastify({ http2: true })
http2.register(fastifyBackground, { closeTimeout: 0 })
expectTypeOf(http2.background).toEqualTypeOf<AppBackground>()
http2.get('/', { background: (request) => request.raw.stream.id }, async (request, reply) => {
  expectTypeOf(reply.background).toEqualTypeOf<ReplyBackground>()
})
http2.route({ method: 'GET', url: '/', background: [(request) => request.raw.stream.id], handler: async () => 'ok' })

const http2s = fastify({ http2: true, https: { key: '', cert: '' } })
http2s.register(fastifyBackground, { closeTimeout: 0 })
expectTypeOf(http2s.background).toEqualTypeOf<AppBackground>()
http2s.get('/', { background: (request) => request.raw.stream.id }, async () => 'ok')

const ownServer = fastify({ serverFactory: (handler) => createServer(handler) })
ownServer.register(fastifyBackground, { closeTimeout: 0 })

// @ts-expect-error the options are checked there, too
https.register(fastifyBackground, { closeTimeout: '0' })
// @ts-expect-error the options are checked there, too
http2.register(fastifyBackground, { closeTimeout: '0' })
// @ts-expect-error the options are checked there, too
http2s.register(fastifyBackground, { concurrency: '0' })

// A logger of the application's own.
interface Log extends FastifyBaseLogger { audit (line: string): void }
declare const log: Log
const logging = fastify({ loggerInstance: log })
logging.register(fastifyBackground)
logging.register(fastifyBackground, { closeTimeout: 0 })
expectTypeOf(logging.background).toEqualTypeOf<AppBackground>()
logging.get('/', { background: (request) => request.log.audit(request.url) }, async (request, reply) => {
  reply.background.addTask((line) => request.log.audit(line), request.url)
})
// @ts-expect-error the options are checked there, too
logging.register(fastifyBackground, { closeTimeout: '0' })

// A type provider, before it and after it.
const typed = fastify().withTypeProvider<TypeBoxTypeProvider>()
typed.register(fastifyBackground, { closeTimeout: 0 })
expectTypeOf(typed.background).toEqualTypeOf<AppBackground>()
typed.post('/', {
  schema: { body: Type.Object({ to: Type.String() }) },
  background: (request) => { expectTypeOf(request.body).toEqualTypeOf<{ to: string }>() }
}, async (request, reply) => {
  reply.background.addTask((to: string) => to, request.body.to)
  // @ts-expect-error an argument has the wrong type
  reply.background.addTask((days: number) => days, request.body.to)
})
// @ts-expect-error the options are checked there, too
typed.register(fastifyBackground, { closeTimeout: '0' })

// Both, and in a plugin.
const both = fastify({ loggerInstance: log, http2: true }).withTypeProvider<TypeBoxTypeProvider>()
both.register(fastifyBackground, { closeTimeout: 0 })
both.post('/', {
  schema: { body: Type.Object({ to: Type.String() }) },
  background: (request) => {
    expectTypeOf(request.body).toEqualTypeOf<{ to: string }>()
    request.log.audit(String(request.raw.stream.id))
  }
}, async () => 'ok')
both.register(async (child) => {
  expectTypeOf(child.background).toEqualTypeOf<AppBackground>()
})
