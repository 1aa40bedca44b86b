import { expectTypeOf } from 'expect-type'
import type { FastifyError, FastifyPluginAsync } from 'fastify'
import byDefault, {
  BackgroundTask, BackgroundTasks, default as defaultByName, defineTask, errorCodes, fastifyBackground, RetryAfterError,
  UnrecoverableError
} from 'fastify-background'
import type {
  AppBackground, AttemptEvent, BackgroundOptions, BackgroundStats, BackgroundTasksOptions, Backoff, CancelledEvent,
  Delivery, Engine, EngineFeatures, EngineWorker, HistoryOptions, OnFailure, Outcome, ProgressEvent, QueuedTask, ReplyBackground, RetryingEvent,
  RouteBackground, RouteTask, RouteTaskFunction, StoredChange, StoredError, StoredPage, StoredQuery, StoredSnapshot,
  StoredState, StoredTask, TaskContext, TaskDefinition, TaskEvent, TaskFunction, TaskOptions, TaskPolicy, TaskProgress,
  TaskRun, TaskSnapshot, TaskState, When
} from 'fastify-background'
import * as everything from 'fastify-background'
import required = require('fastify-background')
import contextByDefault, { getTaskContext } from 'fastify-background/context'
import requiredContext = require('fastify-background/context')

// The plugin is the default export, a named one, and what `require` gives.
expectTypeOf(fastifyBackground).toExtend<FastifyPluginAsync<BackgroundOptions>>()
expectTypeOf<typeof byDefault>().toExtend<typeof fastifyBackground>()
expectTypeOf(defaultByName).toExtend<typeof fastifyBackground>()
expectTypeOf(required).toEqualTypeOf(byDefault)
expectTypeOf(required.default).toExtend<typeof fastifyBackground>()
expectTypeOf(required.fastifyBackground).toEqualTypeOf(fastifyBackground)
expectTypeOf(everything.default).toExtend<typeof fastifyBackground>()
expectTypeOf(import('fastify-background')).resolves.toHaveProperty('default').toExtend<typeof fastifyBackground>()

// The values are named exports, and properties of the plugin.
expectTypeOf(byDefault.BackgroundTask).toEqualTypeOf(BackgroundTask)
expectTypeOf(byDefault.BackgroundTasks).toEqualTypeOf(BackgroundTasks)
expectTypeOf(byDefault.defineTask).toEqualTypeOf(defineTask)
expectTypeOf(byDefault.UnrecoverableError).toEqualTypeOf(UnrecoverableError)
expectTypeOf(byDefault.RetryAfterError).toEqualTypeOf(RetryAfterError)
expectTypeOf(byDefault.errorCodes).toEqualTypeOf(errorCodes)
expectTypeOf(required.BackgroundTask).toEqualTypeOf(BackgroundTask)
expectTypeOf(required.defineTask).toEqualTypeOf(defineTask)
expectTypeOf(everything.BackgroundTasks).toEqualTypeOf(BackgroundTasks)
expectTypeOf(everything.defineTask).toEqualTypeOf(defineTask)
expectTypeOf(everything).not.toHaveProperty('getTaskContext')

// The classes are types, too: by name, and off the plugin.
expectTypeOf<BackgroundTask<[string]>>().toEqualTypeOf<InstanceType<typeof BackgroundTask<[string]>>>()
expectTypeOf<BackgroundTask>().toEqualTypeOf<BackgroundTask<never[]>>()
expectTypeOf<byDefault.BackgroundTask<[string]>>().toEqualTypeOf<BackgroundTask<[string]>>()
expectTypeOf<required.BackgroundTasks>().toEqualTypeOf<BackgroundTasks>()
export class Mail extends BackgroundTask<[string]> {}
expectTypeOf(new Mail((to) => to, 'a@b.c')).toExtend<BackgroundTask>()
declare const value: unknown
if (value instanceof BackgroundTasks) expectTypeOf(value).toEqualTypeOf<BackgroundTasks>()
expectTypeOf<byDefault.UnrecoverableError>().toEqualTypeOf<UnrecoverableError>()
expectTypeOf<byDefault.RetryAfterError>().toEqualTypeOf<RetryAfterError>()
export class NoSuchAddress extends UnrecoverableError {}
expectTypeOf(new NoSuchAddress('a@b.c')).toExtend<UnrecoverableError>()
if (value instanceof byDefault.RetryAfterError) expectTypeOf(value).toEqualTypeOf<RetryAfterError>()

// Every other type: by name, and off the plugin.
expectTypeOf<byDefault.AppBackground>().toEqualTypeOf<AppBackground>()
expectTypeOf<byDefault.AttemptEvent>().toEqualTypeOf<AttemptEvent>()
expectTypeOf<byDefault.BackgroundOptions>().toEqualTypeOf<BackgroundOptions>()
expectTypeOf<byDefault.BackgroundStats>().toEqualTypeOf<BackgroundStats>()
expectTypeOf<byDefault.BackgroundTasksOptions>().toEqualTypeOf<BackgroundTasksOptions>()
expectTypeOf<byDefault.Backoff>().toEqualTypeOf<Backoff>()
expectTypeOf<byDefault.CancelledEvent>().toEqualTypeOf<CancelledEvent>()
expectTypeOf<byDefault.Delivery>().toEqualTypeOf<Delivery>()
expectTypeOf<byDefault.Engine>().toEqualTypeOf<Engine>()
expectTypeOf<byDefault.EngineFeatures>().toEqualTypeOf<EngineFeatures>()
expectTypeOf<byDefault.EngineWorker>().toEqualTypeOf<EngineWorker>()
expectTypeOf<byDefault.HistoryOptions>().toEqualTypeOf<HistoryOptions>()
expectTypeOf<byDefault.OnFailure>().toEqualTypeOf<OnFailure>()
expectTypeOf<byDefault.Outcome>().toEqualTypeOf<Outcome>()
expectTypeOf<byDefault.ProgressEvent>().toEqualTypeOf<ProgressEvent>()
expectTypeOf<byDefault.QueuedTask>().toEqualTypeOf<QueuedTask>()
expectTypeOf<byDefault.ReplyBackground>().toEqualTypeOf<ReplyBackground>()
expectTypeOf<byDefault.RetryingEvent>().toEqualTypeOf<RetryingEvent>()
expectTypeOf<byDefault.RouteBackground>().toEqualTypeOf<RouteBackground>()
expectTypeOf<byDefault.RouteTask>().toEqualTypeOf<RouteTask>()
expectTypeOf<byDefault.RouteTaskFunction>().toEqualTypeOf<RouteTaskFunction>()
expectTypeOf<byDefault.StoredChange>().toEqualTypeOf<StoredChange>()
expectTypeOf<byDefault.StoredError>().toEqualTypeOf<StoredError>()
expectTypeOf<byDefault.StoredPage>().toEqualTypeOf<StoredPage>()
expectTypeOf<byDefault.StoredQuery>().toEqualTypeOf<StoredQuery>()
expectTypeOf<byDefault.StoredSnapshot>().toEqualTypeOf<StoredSnapshot>()
expectTypeOf<byDefault.StoredState>().toEqualTypeOf<StoredState>()
expectTypeOf<byDefault.StoredTask>().toEqualTypeOf<StoredTask>()
expectTypeOf<byDefault.TaskContext>().toEqualTypeOf<TaskContext>()
expectTypeOf<byDefault.TaskDefinition<[string], number>>().toEqualTypeOf<TaskDefinition<[string], number>>()
expectTypeOf<byDefault.TaskEvent>().toEqualTypeOf<TaskEvent>()
expectTypeOf<byDefault.TaskFunction<[string], number>>().toEqualTypeOf<TaskFunction<[string], number>>()
expectTypeOf<byDefault.TaskOptions>().toEqualTypeOf<TaskOptions>()
expectTypeOf<byDefault.TaskPolicy>().toEqualTypeOf<TaskPolicy>()
expectTypeOf<byDefault.TaskProgress>().toEqualTypeOf<TaskProgress>()
expectTypeOf<byDefault.TaskRun<string>>().toEqualTypeOf<TaskRun<string>>()
expectTypeOf<byDefault.TaskSnapshot>().toEqualTypeOf<TaskSnapshot>()
expectTypeOf<byDefault.TaskState>().toEqualTypeOf<TaskState>()
expectTypeOf<byDefault.When>().toEqualTypeOf<When>()

// Each error's code and status are known.
expectTypeOf<keyof typeof errorCodes>().toEqualTypeOf<
  'FST_ERR_BACKGROUND_INVALID_TASK' | 'FST_ERR_BACKGROUND_INVALID_OPTION' | 'FST_ERR_BACKGROUND_QUEUE_FULL' |
  'FST_ERR_BACKGROUND_CLOSED' | 'FST_ERR_BACKGROUND_TASK_TIMEOUT' | 'FST_ERR_BACKGROUND_NO_ENGINE' |
  'FST_ERR_BACKGROUND_UNKNOWN_TASK' | 'FST_ERR_BACKGROUND_ARGS_NOT_SERIALIZABLE' | 'FST_ERR_BACKGROUND_ARGS_TOO_LARGE' |
  'FST_ERR_BACKGROUND_STORE_FAILED' | 'FST_ERR_BACKGROUND_TOO_MANY_RESTARTS' |
  'FST_ERR_BACKGROUND_RUN_NOT_FOUND' | 'FST_ERR_BACKGROUND_RUN_FINISHED' | 'FST_ERR_BACKGROUND_ENGINE_AWAY' |
  'FST_ERR_BACKGROUND_TOO_MANY_LISTENERS' | 'FST_ERR_BACKGROUND_CROSS_SITE' | 'FST_ERR_BACKGROUND_NOT_CLONEABLE' |
  'FST_ERR_BACKGROUND_THREAD_ENDED'
>()
const closed = new errorCodes.FST_ERR_BACKGROUND_CLOSED('sendEmail', 'refused')
expectTypeOf(closed).toExtend<FastifyError>()
expectTypeOf(closed.code).toEqualTypeOf<'FST_ERR_BACKGROUND_CLOSED'>()
expectTypeOf(closed.statusCode).toEqualTypeOf<503>()
const invalidTask = new errorCodes.FST_ERR_BACKGROUND_INVALID_TASK('addTask()', 'a function', 'a number')
expectTypeOf(invalidTask.code).toEqualTypeOf<'FST_ERR_BACKGROUND_INVALID_TASK'>()
expectTypeOf(invalidTask.statusCode).toEqualTypeOf<500>()
const invalidOption = new errorCodes.FST_ERR_BACKGROUND_INVALID_OPTION('when', 'a function', 'a number')
expectTypeOf(invalidOption.code).toEqualTypeOf<'FST_ERR_BACKGROUND_INVALID_OPTION'>()
expectTypeOf(invalidOption.statusCode).toEqualTypeOf<500>()
const queueFull = new errorCodes.FST_ERR_BACKGROUND_QUEUE_FULL('sendEmail', 1000)
expectTypeOf(queueFull.code).toEqualTypeOf<'FST_ERR_BACKGROUND_QUEUE_FULL'>()
expectTypeOf(queueFull.statusCode).toEqualTypeOf<503>()
const timedOut = new errorCodes.FST_ERR_BACKGROUND_TASK_TIMEOUT('sendEmail', 1000)
expectTypeOf(timedOut.code).toEqualTypeOf<'FST_ERR_BACKGROUND_TASK_TIMEOUT'>()
expectTypeOf(timedOut.statusCode).toEqualTypeOf<500>()
const noEngine = new errorCodes.FST_ERR_BACKGROUND_NO_ENGINE('sendEmail', 'is durable')
expectTypeOf(noEngine.code).toEqualTypeOf<'FST_ERR_BACKGROUND_NO_ENGINE'>()
expectTypeOf(noEngine.statusCode).toEqualTypeOf<500>()
const unknownTask = new errorCodes.FST_ERR_BACKGROUND_UNKNOWN_TASK('sendEmail')
expectTypeOf(unknownTask.code).toEqualTypeOf<'FST_ERR_BACKGROUND_UNKNOWN_TASK'>()
expectTypeOf(unknownTask.statusCode).toEqualTypeOf<500>()
const notJson = new errorCodes.FST_ERR_BACKGROUND_ARGS_NOT_SERIALIZABLE('sendEmail', 'args[0]', 'a function')
expectTypeOf(notJson.code).toEqualTypeOf<'FST_ERR_BACKGROUND_ARGS_NOT_SERIALIZABLE'>()
expectTypeOf(notJson.statusCode).toEqualTypeOf<500>()
const tooLarge = new errorCodes.FST_ERR_BACKGROUND_ARGS_TOO_LARGE('sendEmail', 2, 1)
expectTypeOf(tooLarge.code).toEqualTypeOf<'FST_ERR_BACKGROUND_ARGS_TOO_LARGE'>()
expectTypeOf(tooLarge.statusCode).toEqualTypeOf<500>()
const storeFailed = new errorCodes.FST_ERR_BACKGROUND_STORE_FAILED('sendEmail', 'the disk is full')
expectTypeOf(storeFailed.code).toEqualTypeOf<'FST_ERR_BACKGROUND_STORE_FAILED'>()
expectTypeOf(storeFailed.statusCode).toEqualTypeOf<503>()
const restarted = new errorCodes.FST_ERR_BACKGROUND_TOO_MANY_RESTARTS('sendEmail', 4)
expectTypeOf(restarted.code).toEqualTypeOf<'FST_ERR_BACKGROUND_TOO_MANY_RESTARTS'>()
expectTypeOf(restarted.statusCode).toEqualTypeOf<500>()
if (value instanceof errorCodes.FST_ERR_BACKGROUND_CLOSED) expectTypeOf(value.statusCode).toEqualTypeOf<503>()
if (value instanceof errorCodes.FST_ERR_BACKGROUND_TASK_TIMEOUT) expectTypeOf(value.statusCode).toEqualTypeOf<500>()
// @ts-expect-error an error's arguments are checked
export const wrong = new errorCodes.FST_ERR_BACKGROUND_CLOSED()
// @ts-expect-error an error's arguments are checked
export const wrongPending = new errorCodes.FST_ERR_BACKGROUND_QUEUE_FULL('sendEmail', '1000')

// The sub-path has one export, of the same types: the context of the task that runs, if one does.
expectTypeOf(getTaskContext).toEqualTypeOf<() => TaskContext | undefined>()
expectTypeOf(requiredContext.getTaskContext).toEqualTypeOf(getTaskContext)
expectTypeOf(contextByDefault.getTaskContext).toEqualTypeOf(getTaskContext)
expectTypeOf<keyof typeof requiredContext>().toEqualTypeOf<'getTaskContext'>()
expectTypeOf(import('fastify-background/context')).resolves.toHaveProperty('getTaskContext').toEqualTypeOf(getTaskContext)
getTaskContext()?.log.info('hi')
// @ts-expect-error there may be none
getTaskContext().log.info('hi')
