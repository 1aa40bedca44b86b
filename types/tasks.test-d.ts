import { expectTypeOf } from 'expect-type'
import { BackgroundTask, BackgroundTasks } from 'fastify-background'
import type { BackgroundTasksOptions, OnFailure, TaskContext, TaskFunction } from 'fastify-background'

declare function sendEmail (to: string, subject: string): Promise<number>
declare function sendReminder (to: string, subject?: string): string
declare function sendAll (subject: string, ...to: string[]): void
declare function loggedIn (this: TaskContext, user: string): string
declare function ofADate (this: Date): number
declare function convert (value: string): string
declare function convert (value: number, radix: number): boolean
declare function save<T extends { id: string }> (record: T): T
declare function mailer (): { send (to: string): void }

// The arguments of a task are checked against its function.
expectTypeOf(new BackgroundTask(sendEmail, 'a@b.c', 'hi')).toEqualTypeOf<BackgroundTask<[string, string]>>()
expectTypeOf(new BackgroundTask(() => {})).toEqualTypeOf<BackgroundTask<[]>>()
expectTypeOf(new BackgroundTask(loggedIn, 'ann')).toEqualTypeOf<BackgroundTask<[string]>>()
// @ts-expect-error the second argument is missing
export const missing = new BackgroundTask(sendEmail, 'a@b.c')
// @ts-expect-error an argument has the wrong type
export const wrong = new BackgroundTask(sendEmail, 'a@b.c', 1)
// @ts-expect-error one argument too many
export const more = new BackgroundTask(sendEmail, 'a@b.c', 'hi', 'more')
// @ts-expect-error one of the rest has the wrong type
export const rest = new BackgroundTask(sendAll, 'hi', 1)
// @ts-expect-error of an overloaded function the last signature counts
export const overload = new BackgroundTask(convert, 'ff')
// @ts-expect-error the constraint of a generic function is not met
export const constraint = new BackgroundTask(save, { name: 'ann' })
// @ts-expect-error `this` is the task's context, not a Date
export const otherThis = new BackgroundTask(ofADate)
// @ts-expect-error a promise: the result of a call, not the function
export const called = new BackgroundTask(sendEmail('a@b.c', 'hi'))
// @ts-expect-error a task of a task
export const nested = new BackgroundTask(new BackgroundTask(() => {}))
// @ts-expect-error an object
export const object = new BackgroundTask(mailer())

// `this` of a function in place is the task's context.
export const withThis = new BackgroundTask(function (user) {
  expectTypeOf(this).toEqualTypeOf<TaskContext>()
  expectTypeOf(user).toEqualTypeOf<string>()
}, 'ann')

// BackgroundTask[] takes every task, and loosens no check.
export const tasks: BackgroundTask[] = [
  new BackgroundTask(() => {}),
  new BackgroundTask(sendEmail, 'a@b.c', 'hi'),
  new BackgroundTask(sendReminder, 'a@b.c'),
  new BackgroundTask(sendReminder, 'a@b.c', undefined),
  new BackgroundTask(sendAll, 'hi', 'a@b.c', 'd@e.f'),
  new BackgroundTask(loggedIn, 'ann'),
  new BackgroundTask(convert, 255, 16),
  new BackgroundTask(save, { id: '1' }),
  new BackgroundTask((to, days) => [to, days], 'a@b.c', 3)
]
expectTypeOf<BackgroundTask<[a: string, b?: number, ...c: boolean[]]>>().toExtend<BackgroundTask>()
expectTypeOf<BackgroundTask<string[]>>().toExtend<BackgroundTask>()
expectTypeOf<BackgroundTask<unknown[]>>().toExtend<BackgroundTask>()
expectTypeOf<BackgroundTask<[]>>().toExtend<BackgroundTask>()
export const wrongOnes: BackgroundTask[] = [
  // @ts-expect-error an argument has the wrong type
  new BackgroundTask(sendEmail, 'a@b.c', 1),
  // @ts-expect-error all arguments are missing
  new BackgroundTask(sendEmail),
  // @ts-expect-error a function is not a task
  () => {},
  // @ts-expect-error a group is not a task
  new BackgroundTasks()
]

// A task shows what it will call, and cannot be changed.
declare const task: BackgroundTask<[string, number?]>
expectTypeOf(task.fn).toEqualTypeOf<TaskFunction<[string, number?]>>()
expectTypeOf(task.args).toEqualTypeOf<readonly unknown[]>()
// @ts-expect-error read-only
task.fn = () => {}
// @ts-expect-error read-only
task.args.push('more')

// Every function can be a TaskFunction, but one with another `this`.
expectTypeOf(sendEmail).toExtend<TaskFunction>()
expectTypeOf(sendAll).toExtend<TaskFunction>()
expectTypeOf(loggedIn).toExtend<TaskFunction>()
expectTypeOf(ofADate).not.toExtend<TaskFunction>()
expectTypeOf<TaskFunction<[string], number>>().toEqualTypeOf<(this: TaskContext, to: string) => number>()

// A group of tasks, and of functions without parameters.
export const group = new BackgroundTasks()
expectTypeOf(new BackgroundTasks([...tasks, () => {}, async () => 1])).toEqualTypeOf<BackgroundTasks>()
expectTypeOf(new BackgroundTasks(tasks as readonly BackgroundTask[])).toEqualTypeOf<BackgroundTasks>()
// @ts-expect-error a function whose arguments would be missing
export const groupOfFunction = new BackgroundTasks([sendEmail])
// @ts-expect-error a promise among them
export const groupOfPromise = new BackgroundTasks([sendEmail('a@b.c', 'hi')])
// @ts-expect-error a group in a group
export const groupOfGroup = new BackgroundTasks([new BackgroundTasks()])
// @ts-expect-error one task instead of a list
export const groupOfOne = new BackgroundTasks(new BackgroundTask(() => {}))

// addTask appends, checks the arguments, and can be chained.
expectTypeOf(group.addTask(sendEmail, 'a@b.c', 'hi').addTask(new BackgroundTask(() => {})).addTask(() => {}))
  .toEqualTypeOf<BackgroundTasks>()
// @ts-expect-error the second argument is missing
group.addTask(sendEmail, 'a@b.c')
// @ts-expect-error an argument has the wrong type
group.addTask(sendEmail, 'a@b.c', 1)
// @ts-expect-error further arguments beside a task
group.addTask(new BackgroundTask(sendEmail, 'a@b.c', 'hi'), 'more')
// @ts-expect-error a promise
group.addTask(sendEmail('a@b.c', 'hi'))
// @ts-expect-error a group in a group
group.addTask(new BackgroundTasks())
class Mails extends BackgroundTasks {
  own = true
}
expectTypeOf(new Mails().addTask(() => {})).toEqualTypeOf<Mails>()

// Its options.
expectTypeOf<BackgroundTasksOptions>().toEqualTypeOf<{ concurrency?: number, onFailure?: 'continue' | 'stop' }>()
expectTypeOf(new BackgroundTasks([], { concurrency: Infinity, onFailure: 'stop' }).concurrency).toEqualTypeOf<number>()
expectTypeOf(group.onFailure).toEqualTypeOf<OnFailure>()
expectTypeOf(group.tasks).toEqualTypeOf<readonly BackgroundTask[]>()
// @ts-expect-error not a number
export const wrongConcurrency = new BackgroundTasks([], { concurrency: '2' })
// @ts-expect-error not one of its words
export const wrongOnFailure = new BackgroundTasks([], { onFailure: 'retry' })
// @ts-expect-error an unknown option
export const unknownOption = new BackgroundTasks([], { parallel: true })
// @ts-expect-error read-only
group.concurrency = 2
