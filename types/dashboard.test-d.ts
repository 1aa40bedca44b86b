import { expectTypeOf } from 'expect-type'
import fastify, { type FastifyPluginAsync, type onRequestHookHandler } from 'fastify'
import byDefault, { dashboard, default as defaultByName, type DashboardOptions } from 'fastify-background/dashboard'
import required = require('fastify-background/dashboard')

const app = fastify()
declare const hook: onRequestHookHandler

// The plugin is the default export, a named one, and what `require` gives.
expectTypeOf(dashboard).toExtend<FastifyPluginAsync<DashboardOptions>>()
expectTypeOf<typeof byDefault>().toExtend<typeof dashboard>()
expectTypeOf(defaultByName).toExtend<typeof dashboard>()
expectTypeOf(required).toEqualTypeOf(byDefault)
expectTypeOf(required.dashboard).toEqualTypeOf(dashboard)

// Its options are checked.
app.register(dashboard, { prefix: '/tasks', onRequest: hook, showArguments: true, logLevel: 'warn', logSerializers: { req: ({ url }) => url } })
app.register(byDefault, { allowAnonymous: true })
app.register(required, { preHandler: [async (request, reply) => { await reply.code(401).send(request.url) }] })
app.register(import('fastify-background/dashboard'), { preValidation: (request, reply, done) => { done() } })
// @ts-expect-error an unknown option
app.register(dashboard, { anonymous: true })
// @ts-expect-error not a hook
app.register(dashboard, { onRequest: 'ada' })
// @ts-expect-error not a level
app.register(dashboard, { allowAnonymous: true, logLevel: 'loud' })
