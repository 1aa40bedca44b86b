import { expectTypeOf } from 'expect-type'
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import type { TaskProgress, TaskRun, TaskSnapshot, TaskState } from 'fastify-background'
import statusByDefault, { status } from 'fastify-background/status'
import type { AcceptedReply, RunStatus, StatusHooks, StatusOptions } from 'fastify-background/status'
import required = require('fastify-background/status')

declare const app: FastifyInstance
declare const reply: FastifyReply
declare const run: TaskRun<number>

// The plugin is the default export, a named one, and what `require` gives.
expectTypeOf(status).toExtend<FastifyPluginAsync<StatusOptions>>()
expectTypeOf<typeof statusByDefault>().toExtend<typeof status>()
expectTypeOf(required).toEqualTypeOf(statusByDefault)
expectTypeOf(required.default).toExtend<typeof status>()
expectTypeOf<required.StatusOptions>().toEqualTypeOf<StatusOptions>()

app.register(statusByDefault)
app.register(required, { prefix: '/runs' })
app.register(status, {
  prefix: '',
  authorize: async (request, run) => {
    expectTypeOf(request).toEqualTypeOf<FastifyRequest>()
    expectTypeOf(run).toEqualTypeOf<TaskSnapshot>()
    return request.headers.user === run.name
  },
  exposeErrors: true,
  exposeResult: true,
  redirect: false,
  retryAfter: 5,
  maxWait: 60,
  maxListeners: 100,
  interval: 50,
  heartbeat: 5_000,
  onRequest: async (request) => { request.log.info('asked') },
  preHandler: [(_request, _reply, done) => { done() }],
  logLevel: 'warn'
})
// @ts-expect-error not an option
app.register(statusByDefault, { exposeError: true })
// @ts-expect-error it has to say yes or no
app.register(statusByDefault, { authorize: () => 'yes' })
// @ts-expect-error a number of seconds
app.register(statusByDefault, { retryAfter: '5' })

// A reply takes a run, of any result, and is given back.
expectTypeOf(reply.accepted(run)).toEqualTypeOf<FastifyReply>()
expectTypeOf<FastifyReply>().toExtend<AcceptedReply>()
// @ts-expect-error not a run
reply.accepted('id')
// @ts-expect-error the run is missing
reply.accepted()
app.post('/', (_request, reply) => reply.accepted(reply.background.addTask(() => {})))
app.post('/', async (_request, reply) => reply.accepted(reply.background.addTask(async () => 'done')))

expectTypeOf<RunStatus>().toEqualTypeOf<{
  readonly id: string
  readonly name: string
  readonly state: TaskState
  readonly attempt: number
  readonly progress?: TaskProgress
  readonly queuedAt: number
  readonly startedAt?: number
  readonly finishedAt?: number
  readonly error?: { readonly name: string, readonly message: string, readonly code?: string }
  readonly result?: unknown
  readonly location?: string
}>()
expectTypeOf<keyof StatusHooks>().toEqualTypeOf<'onRequest' | 'preParsing' | 'preValidation' | 'preHandler'>()
