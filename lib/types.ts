import type {
  ContextConfigDefault, FastifyBaseLogger, FastifyReply, FastifyRequest, FastifySchema, FastifyTypeProvider,
  FastifyTypeProviderDefault, RawReplyDefaultExpression, RawRequestDefaultExpression, RawServerBase, RawServerDefault,
  RouteGenericInterface
} from 'fastify'
import type { BackgroundTask, BackgroundTasks } from './task'

/** What a task function finds as `this`. */
export interface TaskContext {
  /** The run's id, a UUID: the same as `TaskRun.id`. */
  readonly id: string
  /** The task's name. */
  readonly name: string
  /** A child of the request's logger, or of the application's outside a request, with `task` and `taskId`. */
  readonly log: FastifyBaseLogger
}

/** A function that can be a task: plain, async, or returning a thenable; called with the arguments given and no others. */
export type TaskFunction<A extends unknown[] = never[], R = unknown> = (this: TaskContext, ...args: A) => R

/**
 * Where a run stands: `queued → active → completed | failed`; `queued → discarded` (its condition was not met, its
 * group stopped, or shutdown came first); `queued → failed` (its `when` threw); `active → cancelled` (shutdown did not
 * wait longer for it).
 */
export type TaskState = 'queued' | 'active' | 'completed' | 'failed' | 'discarded' | 'cancelled'

/** One execution of a task. */
export interface TaskRun<R = unknown> {
  /** A UUID, made when first read. */
  readonly id: string
  /** The name of the task's function, or `anonymous`. */
  readonly name: string
  readonly state: TaskState
  /** The number of the attempt, from 1; 0 before the first. */
  readonly attempt: number
  /** What the task threw or rejected with, as it was; also `undefined` where the task has not failed. */
  readonly error: unknown
  /** What the task returned or resolved with; `undefined` where it has not completed. */
  readonly result: R | undefined
  /** When it was accepted, in milliseconds since the epoch; as the next two. */
  readonly queuedAt: number
  readonly startedAt: number | undefined
  readonly finishedAt: number | undefined
  /** Resolves with this run once it is in a final state, whatever that is. Never rejects; unread, it costs nothing. */
  finished (): Promise<TaskRun<R>>
}

/** What a failed task means to the others of its group. */
export type OnFailure = 'continue' | 'stop'

export interface BackgroundTasksOptions {
  /** How many tasks of the group may be active at once: an integer of at least 1, or `Infinity`. @default 1 */
  concurrency?: number
  /** `'stop'`: after a failure, those that have not started are discarded. @default 'continue' */
  onFailure?: OnFailure
}

/**
 * On which replies a task runs, read when the reply settles. `'success'`: status below 400; `'error'`: 400 and above,
 * or a reply that ended without ever getting a status; a function: synchronous, its result taken for true or false.
 */
export type When = 'always' | 'success' | 'error' | ((request: FastifyRequest, reply: FastifyReply) => boolean)

export interface BackgroundOptions {
  /**
   * On which replies tasks run. Without meaning outside a request.
   * @default 'success' for tasks declared on a route, 'always' for tasks added by a call
   */
  when?: When
  /**
   * How long `app.close()` waits for accepted runs, in milliseconds: an integer from 0 (abort at once) to 3 600 000,
   * and at most 800 times Fastify's `pluginTimeout`.
   * @default 10_000
   */
  closeTimeout?: number
  /**
   * How long a reply that has ended (its client has left) may go without a status, in milliseconds, before its tasks
   * are decided as those of an error: an integer from 0 to 2 147 483 647.
   * @default 60_000
   */
  settleTimeout?: number
  /**
   * Called once for each run that failed, after it has been logged, in the run's own async context. What it throws or
   * rejects with is logged and has no further effect.
   */
  onTaskError?: (error: unknown, run: TaskRun) => void | Promise<void>
}

/** How many runs stand in which state. At any moment `accepted` is the sum of the others. */
export interface BackgroundStats {
  /** All runs accepted so far. */
  accepted: number
  queued: number
  active: number
  /** Always 0 for now: retries are not there yet. */
  retrying: number
  completed: number
  failed: number
  cancelled: number
  discarded: number
  /** Always 0 for now: engines are not there yet. */
  stored: number
}

/** The two ways in, the same on a reply and on the application. */
export interface TaskAdder {
  /**
   * Adds one task.
   *
   * @throws {TypeError} `FST_ERR_BACKGROUND_INVALID_TASK` for what cannot be a task.
   * @throws `FST_ERR_BACKGROUND_CLOSED` after the application has closed.
   */
  addTask<A extends unknown[], R> (fn: TaskFunction<A, R>, ...args: A): TaskRun<Awaited<R>>
  addTask (task: BackgroundTask): TaskRun
  /**
   * Adds a group, or several tasks in order; functions among them are called without arguments. All are accepted, or
   * none.
   *
   * @throws as `addTask`.
   */
  addTasks (tasks: BackgroundTasks | ReadonlyArray<BackgroundTask | BackgroundTasks | TaskFunction<[]>>): TaskRun[]
}

/** `reply.background`: the tasks of one reply, run one at a time, in order, once the reply has left. */
export interface ReplyBackground extends TaskAdder {
  /** How many runs this reply has accepted that are not finished. */
  readonly size: number
}

/** `app.background`: tasks outside a request, which start at once, and the state of all. */
export interface AppBackground extends TaskAdder {
  /** Resolves when every run accepted by this process is finished; at once where there is none. */
  idle (): Promise<void>
  /** The counts of this moment. */
  stats (): BackgroundStats
  /** An unfinished run of this process, by its id. */
  get (id: string): TaskRun | undefined
}

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
