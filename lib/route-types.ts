import type {
  ContextConfigDefault, FastifyBaseLogger, FastifyReply, FastifyRequest, FastifySchema, FastifyTypeProvider,
  FastifyTypeProviderDefault, RawReplyDefaultExpression, RawRequestDefaultExpression, RawServerBase, RawServerDefault,
  RouteGenericInterface
} from 'fastify'
import type { BackgroundTask, BackgroundTasks } from './task'
import type { AppBackground, ReplyBackground, TaskContext } from './types'

/**
 * A function on a route: a task that is called with `(request, reply)` after the reply. Tasks that it returns, one, a
 * group or a list, are added to the reply's queue.
 */
export type RouteTaskFunction<Request = FastifyRequest, Reply = FastifyReply> =
  (this: TaskContext, request: Request, reply: Reply) => unknown

/** What a route's `background` takes: a task, a group, a function of `(request, reply)`, or a list of these. */
export type RouteBackground<Request = FastifyRequest, Reply = FastifyReply> =
  RouteTask<Request, Reply> | ReadonlyArray<RouteTask<Request, Reply>>

export type RouteTask<Request = FastifyRequest, Reply = FastifyReply> =
  BackgroundTask | BackgroundTasks | RouteTaskFunction<Request, Reply>

declare module 'fastify' {
  interface FastifyInstance {
    /** Tasks outside a request, and the state of all. */
    background: AppBackground
  }

  interface FastifyReply {
    /** The background tasks of this reply. */
    background: ReplyBackground
  }

  interface FastifyContextConfig {
    /** As the route's `background`, for those who keep all of their own in `config`; `request` is not typed by the route. */
    background?: RouteBackground
  }

  interface RouteShorthandOptions<
    RawServer extends RawServerBase = RawServerDefault,
    RawRequest extends RawRequestDefaultExpression<RawServer> = RawRequestDefaultExpression<RawServer>,
    RawReply extends RawReplyDefaultExpression<RawServer> = RawReplyDefaultExpression<RawServer>,
    RouteGeneric extends RouteGenericInterface = RouteGenericInterface,
    ContextConfig = ContextConfigDefault,
    SchemaCompiler extends FastifySchema = FastifySchema,
    TypeProvider extends FastifyTypeProvider = FastifyTypeProviderDefault,
    Logger extends FastifyBaseLogger = FastifyBaseLogger
  > {
    /** Tasks that run after each successful reply of this route. */
    background?: RouteBackground<
      FastifyRequest<RouteGeneric, RawServer, RawRequest, NoInfer<SchemaCompiler>, TypeProvider, ContextConfig, Logger>,
      FastifyReply<RouteGeneric, RawServer, RawRequest, RawReply, ContextConfig, NoInfer<SchemaCompiler>, TypeProvider>
    >
  }
}
