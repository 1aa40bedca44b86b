import { FST_ERR_BACKGROUND_CLOSED, FST_ERR_BACKGROUND_INVALID_OPTION, FST_ERR_BACKGROUND_INVALID_TASK } from './errors'
import { plugin } from './plugin'
import { BackgroundTask as Task, BackgroundTasks as Tasks } from './task'
import type * as types from './types'

// Node reads the names of a CommonJS module's exports off its text: these lines are what it finds for
// `import { BackgroundTask } from 'fastify-background'`.
module.exports.fastifyBackground = undefined
module.exports.BackgroundTask = undefined
module.exports.BackgroundTasks = undefined
module.exports.errorCodes = undefined

const errorCodes = {
  FST_ERR_BACKGROUND_INVALID_TASK,
  FST_ERR_BACKGROUND_INVALID_OPTION,
  FST_ERR_BACKGROUND_CLOSED
}

/** The plugin: `await app.register(backgroundPlugin, options)`. */
const backgroundPlugin = Object.assign(plugin, {
  default: plugin,
  fastifyBackground: plugin,
  BackgroundTask: Task,
  BackgroundTasks: Tasks,
  errorCodes
})

namespace backgroundPlugin {
  export type BackgroundTask<A extends unknown[] = never[]> = Task<A>
  export type BackgroundTasks = Tasks
  export type AppBackground = types.AppBackground
  export type BackgroundOptions = types.BackgroundOptions
  export type BackgroundStats = types.BackgroundStats
  export type BackgroundTasksOptions = types.BackgroundTasksOptions
  export type OnFailure = types.OnFailure
  export type ReplyBackground = types.ReplyBackground
  export type RouteBackground = types.RouteBackground
  export type TaskContext = types.TaskContext
  export type TaskFunction<A extends unknown[] = never[], R = unknown> = types.TaskFunction<A, R>
  export type TaskRun<R = unknown> = types.TaskRun<R>
  export type TaskState = types.TaskState
  export type When = types.When
}

export = backgroundPlugin
