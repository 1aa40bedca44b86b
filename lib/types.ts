import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify'
import type { Engine } from './engines/engine'
import type { BackgroundTask, BackgroundTasks } from './task'

/** What a task function finds as `this`. */
export interface TaskContext {
  /** The run's id, a UUID: the same as `TaskRun.id`. */
  readonly id: string
  /** The task's name. */
  readonly name: string
  /** The number of this attempt, from 1. */
  readonly attempt: number
  /**
   * Aborted when this attempt is to go on no longer. Its reason is a `FST_ERR_BACKGROUND_TASK_TIMEOUT` after the task's
   * `timeout`, a `FST_ERR_BACKGROUND_CLOSED` when shutdown waits no longer, and else what was given to `cancel`. The run
   * does not wait for a function that ignores it.
   */
  readonly signal: AbortSignal
  /** A child of the request's logger, or of the application's outside a request, with `task` and `taskId`. */
  readonly log: FastifyBaseLogger
  /**
   * Says how far the task has come: a number from 0 to 1, alone or with a message. Each attempt begins without. Ignored
   * once the attempt is over.
   *
   * @throws `FST_ERR_BACKGROUND_INVALID_OPTION` for anything else.
   */
  progress (value: number | TaskProgress): void
}

/** How far a task has come. */
export interface TaskProgress {
  /** From 0 to 1. */
  readonly value: number
  readonly message?: string | undefined
}

/** A function that can be a task: plain, async, or returning a thenable; called with the arguments given and no others. */
export type TaskFunction<A extends unknown[] = never[], R = unknown> = (this: TaskContext, ...args: A) => R

/** How long the waits between attempts are. */
export interface Backoff {
  /** The wait after the first attempt, in milliseconds: an integer from 0 to 2 147 483 647. @default 1_000 */
  delay?: number
  /** By what each further wait is longer than the one before: a number from 1 to 1 000. @default 2 */
  factor?: number
  /** No wait is longer, in milliseconds: an integer from 0 to 2 147 483 647. @default 60_000 */
  max?: number
  /**
   * Whether a wait is a random share of its length ("full jitter"), so that tasks which failed together do not come
   * back together (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
   * @default true
   */
  jitter?: boolean
}

/** How a task is run: on a definition, else on the plugin, else by default. */
export interface TaskPolicy {
  /**
   * On which replies the task runs. Without meaning outside a request.
   * @default 'success' for tasks declared on a route, 'always' for tasks added by a call
   */
  when?: When
  /**
   * How long an attempt may take, in milliseconds: an integer from 0 (no limit) to 2 147 483 647. An attempt that takes
   * longer has failed with `FST_ERR_BACKGROUND_TASK_TIMEOUT`, even where its function goes on. A synchronous function
   * cannot be interrupted.
   * @default 0
   */
  timeout?: number
  /** How many more attempts there are after a failed one: an integer from 0 to 1 000 000. @default 0 */
  retries?: number
  /** How long to wait between attempts. What is left out is as in the plugin's, else as by default. */
  backoff?: Backoff
}

export interface TaskOptions extends TaskPolicy {
  /** What the task goes by: a string that is not empty. @default the name of the function */
  name?: string
  /**
   * Whether the task is kept by the plugin's `engine`, so that it survives the process. Its arguments have to be JSON,
   * and it runs at least once.
   * @default false
   */
  durable?: boolean
}

/** What `defineTask` returns: still a function, and a task with a name and a policy. */
export interface TaskDefinition<A extends unknown[] = never[], R = unknown> {
  (...args: A): R
  /** The task's name. */
  readonly name: string
  /** What the task was defined with. */
  readonly options: Readonly<TaskOptions>
}

/**
 * Where a run stands: `queued → active → completed | failed`; `active → retrying → active`; `queued → discarded` (its
 * condition was not met, its group stopped, or shutdown came first); `queued → failed` (its `when` threw);
 * `queued | active | retrying → cancelled` (by `cancel`, or, once it has started, by shutdown). Of a durable task:
 * `queued → stored` when others may take it up, and `stored → queued → active` if this process does; `retrying → stored`
 * where any process may make the next attempt; `queued → failed` where it could not be stored;
 * `queued | active | retrying → stored` where shutdown has handed it back.
 */
export type TaskState = 'queued' | 'active' | 'retrying' | 'completed' | 'failed' | 'discarded' | 'cancelled' | 'stored'

/** One execution of a task. */
export interface TaskRun<R = unknown> {
  /** A UUID, made when first read. */
  readonly id: string
  /** The name of the task's definition or function, or `anonymous`. */
  readonly name: string
  readonly state: TaskState
  /** The number of the attempt, from 1; 0 before the first. */
  readonly attempt: number
  /** How far the attempt at work, or the last one, has come; `undefined` where its function has not said. */
  readonly progress: TaskProgress | undefined
  /**
   * What the last attempt threw or rejected with, as it was, while the run is `retrying` and when it has `failed`; why
   * it was `cancelled`, or `discarded` or handed back by shutdown; else `undefined`.
   */
  readonly error: unknown
  /** What the task returned or resolved with; `undefined` where it has not completed. */
  readonly result: R | undefined
  /** When it was accepted, in milliseconds since the epoch; as the next two. */
  readonly queuedAt: number
  /** When its first attempt started. */
  readonly startedAt: number | undefined
  /** When it came to its final state. */
  readonly finishedAt: number | undefined
  /**
   * Ends the run as `cancelled`, whatever it is at: one that waits does not start, the signal of one at work is aborted,
   * and what its function still does is ignored.
   *
   * @param reason The reason of the signal, and the run's `error`. @default a `DOMException` named `AbortError`
   * @returns `false` where the run is in a final state already.
   */
  cancel (reason?: unknown): boolean
  /**
   * Resolves with this run once it is in a final state, whatever that is, or `stored`: then the rest is not for this
   * process to know. Never rejects; unread, it costs nothing.
   */
  finished (): Promise<TaskRun<R>>
  /**
   * What `JSON.stringify` and loggers show of it: `id`, `name`, `state`, `attempt`, `progress` and the times, neither its
   * result nor its error.
   */
  toJSON (): object
  /**
   * Resolves with this run once its engine has it. Rejects with `FST_ERR_BACKGROUND_STORE_FAILED` where it could not be
   * stored, or was cancelled or discarded before; with what its condition threw; and with `FST_ERR_BACKGROUND_NO_ENGINE`
   * where the task is not durable. Unread, it costs nothing: the run has failed all the same.
   */
  stored (): Promise<TaskRun<R>>
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

/** How many finished runs an application keeps. */
export interface HistoryOptions {
  /** How many at most: an integer from 0 to 1 000 000. @default 1_000 */
  count?: number
  /** For how long, in milliseconds since they finished: an integer from 0 to 2 147 483 647. @default 3_600_000 */
  age?: number
}

/** The plugin's options. Those of `TaskPolicy` are for tasks without one of their own, plain functions among them. */
export interface BackgroundOptions extends TaskPolicy {
  /** Where durable tasks are kept: `journal()` of `/journal`, `bullmq()` of `/bullmq`, or another. @default none */
  engine?: Engine
  /** The definitions that the engine may run in this process. Their names have to differ. @default none */
  tasks?: readonly TaskDefinition[]
  /** Whether this process also works on what the engine holds; if not, it only stores. @default true */
  worker?: boolean
  /**
   * How long a reply waits for its durable tasks to be stored, in milliseconds: an integer from 1 to 60 000. Beyond it,
   * the reply is a 503.
   * @default 1_000
   */
  storeTimeout?: number
  /** How large the arguments of a durable task may be, in bytes of JSON: an integer of at least 1. @default 1_048_576 */
  maxArgsSize?: number
  /**
   * How often a durable task is started again whose process died while it was at work, apart from its `retries`: an
   * integer from 0 to 1 000 000.
   * @default 3
   */
  maxRestarts?: number
  /**
   * How long a stored task of an unknown name is left to others, in milliseconds since it was added: an integer from 0
   * to 2 147 483 647. Beyond it, it has failed. A rolling deploy takes less.
   * @default 600_000
   */
  unknownTaskGrace?: number
  /**
   * How many finished runs are kept for `app.background.get()`, with their results and errors. `{}` keeps as many as by
   * default.
   * @default none are kept, unless `/status` or the like needs them
   */
  history?: HistoryOptions
  /**
   * How many runs of the application may be active at once: an integer of at least 1, or `Infinity`. Replies with runs
   * to start take turns.
   * @default Infinity
   */
  concurrency?: number
  /**
   * How many runs may be accepted and unfinished: an integer of at least 1, or `Infinity`. Beyond it,
   * `FST_ERR_BACKGROUND_QUEUE_FULL`.
   * @default Infinity
   */
  maxPending?: number
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
  /**
   * For tests. With `false` no task starts before `app.background.runAll()` is called: until then, it can be seen in
   * `app.background.queued`. `app.close()` waits for none of those: `closeTimeout` is 0 unless `runAll` is at work.
   * @default true
   */
  autorun?: boolean
}

/** How many runs stand in which state. At any moment `accepted` is the sum of the others. */
export interface BackgroundStats {
  /** All runs accepted so far. */
  accepted: number
  queued: number
  active: number
  /** Those that wait for their next attempt. */
  retrying: number
  completed: number
  failed: number
  cancelled: number
  discarded: number
  /** Those that an engine has, as far as this process knows: of one that it works on itself, it counts the rest again. */
  stored: number
}

/** The two ways in, the same on a reply and on the application. */
export interface TaskAdder {
  /**
   * Adds one task.
   *
   * @throws {TypeError} `FST_ERR_BACKGROUND_INVALID_TASK` for what cannot be a task.
   * @throws `FST_ERR_BACKGROUND_QUEUE_FULL` beyond `maxPending`.
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
  /**
   * With `autorun: false`: the tasks that have not started, in the order in which they were added. A list of this moment.
   *
   * @throws `FST_ERR_BACKGROUND_INVALID_OPTION` where `autorun` is not `false`.
   */
  readonly queued: readonly QueuedTask[]
  /**
   * With `autorun: false`: runs all tasks that wait, and those that they add, by the rules that hold for all tasks.
   * Resolves when every run accepted is finished. After that, tasks wait again. Rejects with the error of the run that
   * has failed since the last call; with an `AggregateError`, where it was more than one. Rejects with
   * `FST_ERR_BACKGROUND_INVALID_OPTION` where `autorun` is not `false`.
   *
   * After the test modes of Oban.
   */
  runAll (): Promise<void>
  /** The counts of this moment. */
  stats (): BackgroundStats
  /** A run of this process by its id: an unfinished one, or a finished one that the `history` keeps. */
  get (id: string): TaskRun | undefined
  /** What is known of a run by its id, in this process or by the engine. Rejects where the engine is away. */
  find (id: string): Promise<TaskSnapshot | undefined>
  /** Cancels a run by its id, in this process or wherever the engine has it. @returns whether there was one. */
  cancel (id: string): Promise<boolean>
}

/** A task that waits for `runAll()`. */
export interface QueuedTask {
  /** The name that it goes by. */
  readonly name: string
  /** The function or the definition that was added. */
  readonly task: Function
  /** What it will be called with. */
  readonly args: readonly unknown[]
  readonly run: TaskRun
}

/** What is known of a run at one moment. */
export type TaskSnapshot = Pick<TaskRun,
  'id' | 'name' | 'state' | 'attempt' | 'progress' | 'error' | 'result' | 'queuedAt' | 'startedAt' | 'finishedAt'>

/**
 * What is published on `fastify.background.task.queued`, `fastify.background.task.taken`,
 * `fastify.background.task.discarded` and `fastify.background.task.finished`.
 */
export interface TaskEvent {
  /** The application that the run belongs to: channels are global to the process. */
  readonly background: AppBackground
  readonly run: TaskRun
  /** Of a durable task: what goes with it to wherever it runs. On `queued` subscribers may write into it. */
  readonly meta?: Record<string, string> | undefined
}

/**
 * What is published on `tracingChannel('fastify.background.task')`: the same object from the start of an attempt to its
 * end, so that subscribers may tell events of one attempt by it.
 */
export interface AttemptEvent extends TaskEvent {
  /** The number of the attempt, from 1. */
  readonly attempt: number
  /** How long the run had waited for its first attempt, in milliseconds. */
  readonly queueTime: number
  /** How long the attempt took, in milliseconds, with fractions. Set when it is over. */
  duration?: number
  /** Set on `error`, and from there on: what the attempt failed with. */
  error?: unknown
  /** Set when the attempt has completed. */
  result?: unknown
}

/** What is published on `fastify.background.task.retrying`. */
export interface RetryingEvent extends TaskEvent {
  /** What the attempt failed with. */
  readonly error: unknown
  /** How long the next attempt is waited for, in milliseconds. */
  readonly delay: number
}

/** What is published on `fastify.background.task.progress`. */
export interface ProgressEvent extends TaskEvent {
  readonly progress: TaskProgress
}

/** What is published on `fastify.background.task.cancelled`. */
export interface CancelledEvent extends TaskEvent {
  /** What `cancel` was given, or why shutdown ended the run. */
  readonly reason: unknown
}
