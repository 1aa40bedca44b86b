import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Http2Server, Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import { Type, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import { expectTypeOf } from 'expect-type'
import type {
  FastifyBaseLogger, FastifyContextConfig, FastifyInstance, FastifyReply, FastifyRequest, RouteOptions,
  RouteShorthandOptions
} from 'fastify'
import { BackgroundTask, BackgroundTasks, defineTask } from 'fastify-background'
import type { ReplyBackground, RouteBackground, RouteTask, RouteTaskFunction, TaskContext } from 'fastify-background'

declare const app: FastifyInstance
declare const http2: FastifyInstance<Http2Server, Http2ServerRequest, Http2ServerResponse>
declare function sendEmail (to: string, subject: string): Promise<number>
async function handler () { return 'ok' }

// A task, a group, a function, or a list of these: on a shorthand method, in app.route, with the handler among the options.
app.get('/', { background: new BackgroundTask(sendEmail, 'a@b.c', 'hi') }, handler)
app.get('/', { background: new BackgroundTasks([new BackgroundTask(sendEmail, 'a@b.c', 'hi'), () => {}]) }, handler)
app.get('/', { background: () => {} }, handler)
app.get('/', {
  background: [new BackgroundTask(sendEmail, 'a@b.c', 'hi'), new BackgroundTasks(), async (request) => request.url]
}, handler)
app.get('/', { background: [] }, handler)
app.get('/', { background: undefined }, handler)
app.get('/', { background: new BackgroundTask(sendEmail, 'a@b.c', 'hi'), handler })
app.route({ method: 'GET', url: '/', background: new BackgroundTask(sendEmail, 'a@b.c', 'hi'), handler })
app.all('/', { background: () => new BackgroundTask(sendEmail, 'a@b.c', 'hi') }, handler)
export const shorthand: RouteShorthandOptions = { background: [(request) => request.url] }
export const route: RouteOptions = { method: 'GET', url: '/', background: [(request) => request.url], handler }
app.addHook('onRoute', (route) => {
  expectTypeOf(route.background).toExtend<RouteBackground | undefined>()
})

// What cannot be a route's background.
// @ts-expect-error an argument of the task has the wrong type
app.get('/', { background: new BackgroundTask(sendEmail, 'a@b.c', 1) }, handler)
// @ts-expect-error in a list, too
app.get('/', { background: [new BackgroundTask(sendEmail, 'a@b.c')] }, handler)
// @ts-expect-error a function of other parameters than request and reply
app.get('/', { background: sendEmail }, handler)
// @ts-expect-error more parameters than request and reply
app.get('/', { background: (request: FastifyRequest, reply: FastifyReply, more: string) => more }, handler)
// @ts-expect-error a promise: the result of a call, not the function
app.get('/', { background: sendEmail('a@b.c', 'hi') }, handler)
// @ts-expect-error a promise in a list
app.get('/', { background: [sendEmail('a@b.c', 'hi')] }, handler)
// @ts-expect-error a list in a list
app.get('/', { background: [[() => {}]] }, handler)
// @ts-expect-error the name of a function
app.route({ method: 'GET', url: '/', background: 'sendEmail', handler })
// @ts-expect-error null
app.get('/', { background: null }, handler)

// A function on a route has the context as `this`, and the request and the reply as its arguments.
app.get('/', {
  background (request, reply) {
    expectTypeOf(this).toEqualTypeOf<TaskContext>()
    expectTypeOf(request).toExtend<FastifyRequest>()
    expectTypeOf(reply).toExtend<FastifyReply>()
    expectTypeOf(reply.background).toEqualTypeOf<ReplyBackground>()
  }
}, handler)

interface Mail { Body: { to: string }, Params: { id: string }, Querystring: { days?: number }, Headers: { 'x-key': string } }

// The request is typed by the route's generics: in a function, in a list, in app.route.
app.post<Mail>('/:id', {
  background: (request) => {
    expectTypeOf(request.body).toEqualTypeOf<{ to: string }>()
    expectTypeOf(request.params).toEqualTypeOf<{ id: string }>()
    expectTypeOf(request.query).toEqualTypeOf<{ days?: number }>()
    expectTypeOf(request.headers['x-key']).toEqualTypeOf<string>()
    return new BackgroundTask(sendEmail, request.body.to, 'hi')
  }
}, handler)
app.post<Mail>('/:id', {
  background: [(request) => { expectTypeOf(request.body).toEqualTypeOf<{ to: string }>() }, new BackgroundTasks()]
}, handler)
app.route<Mail>({
  method: 'POST',
  url: '/:id',
  background: (request, reply) => {
    expectTypeOf(request.body).toEqualTypeOf<{ to: string }>()
    expectTypeOf(reply.request.body).toEqualTypeOf<{ to: string }>()
  },
  handler
})
app.post<Mail>('/:id', {
  // @ts-expect-error the body has no such property
  background: (request) => request.body.subject
}, handler)
app.post<Mail>('/:id', {
  background: (request) => {
    // @ts-expect-error an argument has the wrong type
    return new BackgroundTask(sendEmail, request.body, 'hi')
  }
}, handler)

// Without generics or a type provider the body is unknown, as in a handler.
app.post('/', { background: (request) => { expectTypeOf(request.body).toEqualTypeOf<unknown>() } }, handler)

// The request is typed by a schema and a type provider, and the handler's stays so beside it.
const typed = app.withTypeProvider<TypeBoxTypeProvider>()
const schema = {
  body: Type.Object({ to: Type.String(), days: Type.Optional(Type.Integer()) }),
  params: Type.Object({ id: Type.String() }),
  querystring: Type.Object({ days: Type.Integer() }),
  response: { 200: Type.Object({ id: Type.String() }) }
}
interface Body { to: string, days?: number }
typed.post('/:id', {
  schema,
  background: (request, reply) => {
    expectTypeOf(request.body).toEqualTypeOf<Body>()
    expectTypeOf(request.params).toEqualTypeOf<{ id: string }>()
    expectTypeOf(request.query).toEqualTypeOf<{ days: number }>()
    expectTypeOf(reply.background).toEqualTypeOf<ReplyBackground>()
    return new BackgroundTask(sendEmail, request.body.to, 'hi')
  }
}, async (request) => {
  expectTypeOf(request.body).toEqualTypeOf<Body>()
  return { id: request.params.id }
})
typed.post('/:id', {
  schema,
  background: [new BackgroundTask(sendEmail, 'a@b.c', 'hi'), (request) => {
    expectTypeOf(request.body).toEqualTypeOf<Body>()
  }]
}, async (request) => ({ id: request.params.id }))
typed.route({
  method: 'POST',
  url: '/:id',
  schema,
  background: (request) => { expectTypeOf(request.body).toEqualTypeOf<Body>() },
  handler: async (request) => ({ id: request.body.to })
})
// What the function expects of the request has no part in what the schema is taken for.
declare function log (request: FastifyRequest): void
typed.post('/:id', { schema, background: log }, async (request) => {
  expectTypeOf(request.body).toEqualTypeOf<Body>()
  return { id: request.params.id }
})
typed.post('/:id', {
  schema,
  // @ts-expect-error the schema has no such property
  background: (request) => request.body.subject
}, async () => ({ id: '1' }))

// All eight type parameters: server, raw request and reply, generics, config, schema, type provider, logger.
interface Log extends FastifyBaseLogger { audit (line: string): void }
type Http2 = RouteShorthandOptions<
  Http2Server, Http2ServerRequest, Http2ServerResponse, { Params: { id: string } }, { scope: 'mail' }, typeof schema,
  TypeBoxTypeProvider, Log
>
export const all: Http2 = {
  background: (request, reply) => {
    expectTypeOf(request.raw).toEqualTypeOf<Http2ServerRequest>()
    expectTypeOf(reply.raw).toEqualTypeOf<Http2ServerResponse>()
    expectTypeOf(request.params).toEqualTypeOf<{ id: string }>()
    expectTypeOf(request.body).toEqualTypeOf<Body>()
    expectTypeOf(request.routeOptions.config.scope).toEqualTypeOf<'mail'>()
    expectTypeOf(reply.routeOptions.config.scope).toEqualTypeOf<'mail'>()
    expectTypeOf(request.log).toEqualTypeOf<Log>()
  }
}
app.get('/', {
  background: (request, reply) => {
    expectTypeOf(request.raw).toEqualTypeOf<IncomingMessage>()
    expectTypeOf(reply.raw).toEqualTypeOf<ServerResponse>()
    expectTypeOf(request.log).toEqualTypeOf<FastifyBaseLogger>()
  }
}, handler)
app.get<object, { scope: 'mail' }>('/', {
  config: { scope: 'mail' },
  background: (request) => { expectTypeOf(request.routeOptions.config.scope).toEqualTypeOf<'mail'>() }
}, handler)

// The route's background narrows nothing else: a handler that reads its config still can.
app.get('/', { config: { scope: 'mail' }, background: () => {} }, async (request) => {
  expectTypeOf(request.routeOptions.config.scope).toEqualTypeOf<string>()
})

// config.background takes the same, with a request that the route does not type.
app.get('/', { config: { background: new BackgroundTask(sendEmail, 'a@b.c', 'hi') } }, handler)
app.get('/', { config: { background: [new BackgroundTasks(), () => {}] } }, handler)
app.route({ method: 'GET', url: '/', config: { background: () => {} }, handler })
expectTypeOf<FastifyContextConfig['background']>().toEqualTypeOf<RouteBackground | undefined>()
export const config: FastifyContextConfig = {
  background (request, reply) {
    expectTypeOf(this).toEqualTypeOf<TaskContext>()
    expectTypeOf(request).toEqualTypeOf<FastifyRequest>()
    expectTypeOf(reply).toEqualTypeOf<FastifyReply>()
  }
}
app.get('/', async (request) => {
  expectTypeOf(request.routeOptions.config.background).toEqualTypeOf<RouteBackground | undefined>()
})
// @ts-expect-error an argument of the task has the wrong type
app.get('/', { config: { background: new BackgroundTask(sendEmail, 'a@b.c', 1) } }, handler)
// @ts-expect-error a promise: the result of a call, not the function
app.get('/', { config: { background: sendEmail('a@b.c', 'hi') } }, handler)
// @ts-expect-error a function of other parameters than request and reply
app.get('/', { config: { background: sendEmail } }, handler)

// RouteBackground is what a route takes.
expectTypeOf(new BackgroundTask(sendEmail, 'a@b.c', 'hi')).toExtend<RouteBackground>()
expectTypeOf<Array<BackgroundTask | BackgroundTasks | (() => void)>>().toExtend<RouteBackground>()
expectTypeOf(sendEmail).not.toExtend<RouteBackground>()
expectTypeOf<RouteBackground>().toEqualTypeOf<RouteTask | readonly RouteTask[]>()
expectTypeOf<RouteTask>().toEqualTypeOf<BackgroundTask | BackgroundTasks | RouteTaskFunction>()
expectTypeOf<RouteTaskFunction>()
  .toEqualTypeOf<(this: TaskContext, request: FastifyRequest, reply: FastifyReply) => unknown>()

// A definition is called with the request and the reply: of any route, or of this one.
const audit = defineTask((request: FastifyRequest, reply: FastifyReply) => [request.url, reply.statusCode])
const auditMail = defineTask((request: FastifyRequest<Mail>) => request.body.to)
const cleanUp = defineTask(async () => 1, { when: 'always' })
const send = defineTask(sendEmail)
expectTypeOf(audit).toExtend<RouteBackground>()
expectTypeOf(cleanUp).toExtend<RouteBackground>()
expectTypeOf(send).not.toExtend<RouteBackground>()
app.get('/', { background: audit }, handler)
app.get('/', { background: [audit, cleanUp, new BackgroundTask(send, 'a@b.c', 'hi')] }, handler)
app.get('/', { background: new BackgroundTasks([cleanUp]) }, handler)
app.get('/', { config: { background: audit } }, handler)
app.get('/', { config: { background: [audit, cleanUp] } }, handler)
app.route({ method: 'GET', url: '/', background: audit, handler })
app.post<Mail>('/', { background: auditMail }, handler)
app.post<Mail>('/', { background: [audit, auditMail] }, handler)
app.route<Mail>({ method: 'POST', url: '/', background: auditMail, handler })
http2.get('/', { background: [cleanUp] }, handler)
typed.post('/:id', { schema, background: audit }, async (request) => {
  expectTypeOf(request.body).toEqualTypeOf<Body>()
  return { id: request.params.id }
})
typed.post('/:id', { schema, background: auditMail }, async (request) => ({ id: request.body.to }))
// @ts-expect-error a definition of other parameters than request and reply
app.get('/', { background: send }, handler)
// @ts-expect-error in a list, too
app.get('/', { background: [audit, send] }, handler)
// @ts-expect-error in config, too
app.get('/', { config: { background: send } }, handler)
// @ts-expect-error a definition for the requests of another route
app.post<{ Body: { subject: string } }>('/', { background: auditMail }, handler)
// @ts-expect-error options without a definition
app.get('/', { background: { retries: 3 } }, handler)

// One that is made in place is typed by the route's generics, as a function would be.
app.post<Mail>('/', {
  background: defineTask(function (request, reply) {
    expectTypeOf(this).toEqualTypeOf<TaskContext>()
    expectTypeOf(request.body).toEqualTypeOf<{ to: string }>()
    expectTypeOf(reply.background).toEqualTypeOf<ReplyBackground>()
    return new BackgroundTask(send, request.body.to, 'hi')
  }, { retries: 3 })
}, handler)
app.post<Mail>('/', {
  background: [defineTask((request) => { expectTypeOf(request.body).toEqualTypeOf<{ to: string }>() }), audit]
}, handler)
app.get('/', {
  config: { background: defineTask((request) => { expectTypeOf(request).toEqualTypeOf<FastifyRequest>() }) }
}, handler)
app.post<Mail>('/', {
  // @ts-expect-error the body has no such property
  background: defineTask((request) => request.body.subject)
}, handler)
// What the route infers itself does not reach a function within a call: that says what it takes.
typed.post('/:id', {
  schema,
  background: defineTask((request: FastifyRequest<{ Body: Body }>) => request.body.days)
}, async (request) => {
  expectTypeOf(request.body).toEqualTypeOf<Body>()
  return { id: request.params.id }
})
