import type { FastifyInstance } from 'fastify'
import { defineTask } from './definition'
import type {
  Delivery, Engine, EngineFeatures, EngineWorker, Outcome, StoredChange, StoredError, StoredPage, StoredQuery,
  StoredSnapshot, StoredState, StoredTask
} from './engines/engine'
import * as errorCodes from './errors'
import { plugin } from './plugin'
import { RetryAfterError, UnrecoverableError } from './retry-errors'
import type { RouteBackground, RouteTask, RouteTaskFunction } from './route-types'
import { BackgroundTask, BackgroundTasks } from './task'
import type {
  AppBackground, AttemptEvent, BackgroundOptions, BackgroundStats, BackgroundTasksOptions, Backoff, CancelledEvent,
  HistoryOptions, OnFailure, ProgressEvent, QueuedTask, ReplyBackground, RetryingEvent, TaskContext, TaskDefinition, TaskEvent, TaskFunction,
  TaskOptions, TaskPolicy, TaskProgress, TaskRun, TaskSnapshot, TaskState, When
} from './types'

// Node reads the names of a CommonJS module's exports off its text: these lines are what it finds for
// `import { BackgroundTask } from 'fastify-background'`.
module.exports.fastifyBackground = undefined
module.exports.BackgroundTask = undefined
module.exports.BackgroundTasks = undefined
module.exports.defineTask = undefined
module.exports.UnrecoverableError = undefined
module.exports.RetryAfterError = undefined
module.exports.errorCodes = undefined

/** The plugin: `await app.register(fastifyBackground, options)`. */
async function fastifyBackground (app: FastifyInstance, options: BackgroundOptions): Promise<void> {
  await plugin(app, options)
}

// `plugin` brings the marks that fastify-plugin has set on it.
Object.assign(fastifyBackground, plugin, {
  default: fastifyBackground,
  fastifyBackground,
  BackgroundTask,
  BackgroundTasks,
  defineTask,
  UnrecoverableError,
  RetryAfterError,
  errorCodes
})

// A function and a namespace of exports, not of aliases: only so can a consumer's own declarations name the types.
declare namespace fastifyBackground {
  export {
    fastifyBackground as default, fastifyBackground, BackgroundTask, BackgroundTasks, defineTask, UnrecoverableError,
    RetryAfterError, errorCodes
  }
  export type {
    AppBackground, AttemptEvent, BackgroundOptions, BackgroundStats, BackgroundTasksOptions, Backoff, CancelledEvent,
    HistoryOptions, OnFailure, ProgressEvent, QueuedTask, ReplyBackground, RetryingEvent, RouteBackground, RouteTask, RouteTaskFunction, TaskContext,
    TaskDefinition, TaskEvent, TaskFunction, TaskOptions, TaskPolicy, TaskProgress, TaskRun, TaskSnapshot, TaskState, When,
    Delivery, Engine, EngineFeatures, EngineWorker, Outcome, StoredChange, StoredError, StoredPage, StoredQuery,
    StoredSnapshot, StoredState, StoredTask
  }
}

export = fastifyBackground
