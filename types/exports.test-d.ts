import { expectTypeOf } from 'expect-type'
import type { FastifyError, FastifyPluginAsync } from 'fastify'
import byDefault, {
  BackgroundTask, BackgroundTasks, errorCodes, default as defaultByName, fastifyBackground
} from 'fastify-background'
import type {
  AppBackground, BackgroundOptions, BackgroundStats, BackgroundTasksOptions, OnFailure, ReplyBackground,
  RouteBackground, TaskContext, TaskFunction, TaskRun, TaskState, When
} from 'fastify-background'
import * as everything from 'fastify-background'
import required = require('fastify-background')

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
expectTypeOf(byDefault.errorCodes).toEqualTypeOf(errorCodes)
expectTypeOf(required.BackgroundTask).toEqualTypeOf(BackgroundTask)
expectTypeOf(everything.BackgroundTasks).toEqualTypeOf(BackgroundTasks)

// The classes are types, too: by name, and off the plugin.
expectTypeOf<BackgroundTask<[string]>>().toEqualTypeOf<InstanceType<typeof BackgroundTask<[string]>>>()
expectTypeOf<BackgroundTask>().toEqualTypeOf<BackgroundTask<never[]>>()
expectTypeOf<byDefault.BackgroundTask<[string]>>().toEqualTypeOf<BackgroundTask<[string]>>()
expectTypeOf<required.BackgroundTasks>().toEqualTypeOf<BackgroundTasks>()
export class Mail extends BackgroundTask<[string]> {}
expectTypeOf(new Mail((to) => to, 'a@b.c')).toExtend<BackgroundTask>()
declare const value: unknown
if (value instanceof BackgroundTasks) expectTypeOf(value).toEqualTypeOf<BackgroundTasks>()

// Every other type: by name, and off the plugin.
expectTypeOf<byDefault.AppBackground>().toEqualTypeOf<AppBackground>()
expectTypeOf<byDefault.BackgroundOptions>().toEqualTypeOf<BackgroundOptions>()
expectTypeOf<byDefault.BackgroundStats>().toEqualTypeOf<BackgroundStats>()
expectTypeOf<byDefault.BackgroundTasksOptions>().toEqualTypeOf<BackgroundTasksOptions>()
expectTypeOf<byDefault.OnFailure>().toEqualTypeOf<OnFailure>()
expectTypeOf<byDefault.ReplyBackground>().toEqualTypeOf<ReplyBackground>()
expectTypeOf<byDefault.RouteBackground>().toEqualTypeOf<RouteBackground>()
expectTypeOf<byDefault.TaskContext>().toEqualTypeOf<TaskContext>()
expectTypeOf<byDefault.TaskFunction<[string], number>>().toEqualTypeOf<TaskFunction<[string], number>>()
expectTypeOf<byDefault.TaskRun<string>>().toEqualTypeOf<TaskRun<string>>()
expectTypeOf<byDefault.TaskState>().toEqualTypeOf<TaskState>()
expectTypeOf<byDefault.When>().toEqualTypeOf<When>()

// Each error's code and status are known.
expectTypeOf<keyof typeof errorCodes>().toEqualTypeOf<
  'FST_ERR_BACKGROUND_INVALID_TASK' | 'FST_ERR_BACKGROUND_INVALID_OPTION' | 'FST_ERR_BACKGROUND_CLOSED'
>()
const closed = new errorCodes.FST_ERR_BACKGROUND_CLOSED('sendEmail')
expectTypeOf(closed).toExtend<FastifyError>()
expectTypeOf(closed.code).toEqualTypeOf<'FST_ERR_BACKGROUND_CLOSED'>()
expectTypeOf(closed.statusCode).toEqualTypeOf<503>()
const invalidTask = new errorCodes.FST_ERR_BACKGROUND_INVALID_TASK('addTask()', 'a function', 'a number')
expectTypeOf(invalidTask.code).toEqualTypeOf<'FST_ERR_BACKGROUND_INVALID_TASK'>()
expectTypeOf(invalidTask.statusCode).toEqualTypeOf<500>()
const invalidOption = new errorCodes.FST_ERR_BACKGROUND_INVALID_OPTION('when', 'a function', 'a number')
expectTypeOf(invalidOption.code).toEqualTypeOf<'FST_ERR_BACKGROUND_INVALID_OPTION'>()
expectTypeOf(invalidOption.statusCode).toEqualTypeOf<500>()
if (value instanceof errorCodes.FST_ERR_BACKGROUND_CLOSED) expectTypeOf(value.statusCode).toEqualTypeOf<503>()
// @ts-expect-error an error's arguments are checked
export const wrong = new errorCodes.FST_ERR_BACKGROUND_CLOSED()
