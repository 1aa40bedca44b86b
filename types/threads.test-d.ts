import { expectTypeOf } from 'expect-type'
import type { FastifyInstance, FastifyPluginAsync, FastifyReply } from 'fastify'
import { BackgroundTask, BackgroundTasks, type TaskContext, type TaskDefinition, type TaskRun } from 'fastify-background'
import { threads, threadTask, type ThreadFunction, type ThreadsOptions, type ThreadTaskOptions } from 'fastify-background/threads'

declare const app: FastifyInstance
declare const reply: FastifyReply

export declare function resize (image: Uint8Array, width: number, height?: number): Buffer
export declare function inContext (this: TaskContext, text: string): Promise<number>
export declare function ofADate (this: Date): number
export declare function all (...numbers: number[]): PromiseLike<number>
const file = new URL('file:///resize.mjs')

// The arguments are those of the function, the result is a promise of its own.
const shrink = threadTask<typeof resize>(file)
expectTypeOf(shrink).toEqualTypeOf<TaskDefinition<[image: Uint8Array, width: number, height?: number], Promise<Buffer>>>()
expectTypeOf(threadTask<typeof inContext>('/in-context.cjs')).toEqualTypeOf<TaskDefinition<[text: string], Promise<number>>>()
expectTypeOf(threadTask<typeof all>(file)).toEqualTypeOf<TaskDefinition<number[], Promise<number>>>()
expectTypeOf(threadTask<typeof import('node:path').basename>(file, { export: 'basename' })).parameters
  .toEqualTypeOf<[path: string, suffix?: string]>()

// Without a type, any arguments are taken, and nothing is known of the result.
expectTypeOf(threadTask(file)).toEqualTypeOf<TaskDefinition<unknown[], Promise<unknown>>>()

// It goes wherever a definition goes.
expectTypeOf(app.background.addTask(shrink, new Uint8Array(), 1)).toEqualTypeOf<TaskRun<Buffer>>()
reply.background.addTask(new BackgroundTask(shrink, new Uint8Array(), 1, 2))
new BackgroundTasks().addTask(shrink, new Uint8Array(), 1)
app.get('/', { background: () => new BackgroundTask(shrink, new Uint8Array(), 1) }, async () => 'ok')
expectTypeOf(shrink(new Uint8Array(), 1)).toEqualTypeOf<Promise<Buffer>>()
// @ts-expect-error a width is a number
app.background.addTask(shrink, new Uint8Array(), '1')
// @ts-expect-error a width is needed
app.background.addTask(shrink, new Uint8Array())

// What cannot be.
// @ts-expect-error a function that is no task function
threadTask<typeof ofADate>(file)
// @ts-expect-error no type of a function
threadTask<string>(file)
// @ts-expect-error the function itself: it is in this thread
threadTask(resize)
// @ts-expect-error an unknown option
threadTask(file, { exports: 'resize' })

expectTypeOf<ThreadTaskOptions>().toHaveProperty('export').toEqualTypeOf<string | undefined>()
expectTypeOf<typeof resize>().toExtend<ThreadFunction>()
expectTypeOf(threads).toEqualTypeOf<FastifyPluginAsync<ThreadsOptions>>()
app.register(threads)
app.register(threads, { maxThreads: 2, abortTimeout: 0, maxMemory: 64 })
// @ts-expect-error a number
app.register(threads, { maxThreads: '2' })
