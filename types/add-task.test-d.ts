import { expectTypeOf } from 'expect-type'
import type { FastifyBaseLogger, FastifyInstance, FastifyReply } from 'fastify'
import { BackgroundTask, BackgroundTasks } from 'fastify-background'
import type { TaskContext, TaskProgress, TaskRun } from 'fastify-background'

declare const app: FastifyInstance
declare const reply: FastifyReply

declare function sendEmail (to: string, subject: string): Promise<number>
declare function sendReminder (to: string, subject?: string, days?: number): string
declare function sendAll (subject: string, ...to: string[]): void
declare function loggedIn (this: TaskContext, user: string): string
declare function ofADate (this: Date): number
declare function convert (value: string): string
declare function convert (value: number, radix: number): boolean
declare function save<T extends { id: string }> (record: T): T
declare function saveEach<T> (records: T[], onSaved: (record: T) => void): T

// The same on a reply and on the application.
expectTypeOf(reply.background.addTask).toEqualTypeOf(app.background.addTask)
expectTypeOf(reply.background.addTasks).toEqualTypeOf(app.background.addTasks)

const { background } = reply

// A plain function: its arguments are checked, its awaited result is the run's.
expectTypeOf(background.addTask(sendEmail, 'a@b.c', 'hi')).toEqualTypeOf<TaskRun<number>>()
expectTypeOf(background.addTask(() => {})).toEqualTypeOf<TaskRun<void>>()
// @ts-expect-error the second argument is missing
background.addTask(sendEmail, 'a@b.c')
// @ts-expect-error all arguments are missing
background.addTask(sendEmail)
// @ts-expect-error an argument has the wrong type
background.addTask(sendEmail, 'a@b.c', 1)
// @ts-expect-error one argument too many
background.addTask(sendEmail, 'a@b.c', 'hi', 'more')
// @ts-expect-error one argument too many
background.addTask(() => {}, 'more')
// @ts-expect-error a property has the wrong type
background.addTask((mail: { to: string }) => mail, { to: 1 })

// The result is unwrapped, however it is promised.
expectTypeOf(background.addTask(async () => await sendEmail('', ''))).toEqualTypeOf<TaskRun<number>>()
expectTypeOf(background.addTask(async () => sendEmail('', ''))).toEqualTypeOf<TaskRun<number>>()
expectTypeOf(background.addTask((thenable: PromiseLike<Date>) => thenable, Promise.resolve(new Date())))
  .toEqualTypeOf<TaskRun<Date>>()
expectTypeOf(background.addTask((fail: boolean) => fail ? undefined : Promise.resolve('done'), true))
  .toEqualTypeOf<TaskRun<string | undefined>>()

// Optional parameters may be left out, and are checked where given.
expectTypeOf(background.addTask(sendReminder, 'a@b.c')).toEqualTypeOf<TaskRun<string>>()
expectTypeOf(background.addTask(sendReminder, 'a@b.c', undefined, 3)).toEqualTypeOf<TaskRun<string>>()
expectTypeOf(background.addTask((subject: string = 'hi') => subject)).toEqualTypeOf<TaskRun<string>>()
// @ts-expect-error an optional argument has the wrong type
background.addTask(sendReminder, 'a@b.c', 3)
// @ts-expect-error one argument too many
background.addTask(sendReminder, 'a@b.c', 'hi', 3, 4)

// Rest parameters take any number of arguments, each of them checked.
expectTypeOf(background.addTask(sendAll, 'hi')).toEqualTypeOf<TaskRun<void>>()
expectTypeOf(background.addTask(sendAll, 'hi', 'a@b.c', 'd@e.f')).toEqualTypeOf<TaskRun<void>>()
expectTypeOf(background.addTask(sendAll, ...(['hi', 'a@b.c'] as [string, string]))).toEqualTypeOf<TaskRun<void>>()
// @ts-expect-error one of the rest has the wrong type
background.addTask(sendAll, 'hi', 'a@b.c', 4)

// `this` is the task's context.
expectTypeOf(background.addTask(loggedIn, 'ann')).toEqualTypeOf<TaskRun<string>>()
background.addTask(function (user: string) {
  expectTypeOf(this).toEqualTypeOf<TaskContext>()
  this.log.info({ user, task: this.name, taskId: this.id })
}, 'ann')
// @ts-expect-error it is not a Date
background.addTask(ofADate)

// The context tells of the attempt, and takes how far it has come.
expectTypeOf<TaskContext>().toEqualTypeOf<{
  readonly id: string
  readonly name: string
  readonly attempt: number
  readonly signal: AbortSignal
  readonly log: FastifyBaseLogger
  progress (value: number | TaskProgress): void
}>()
expectTypeOf<TaskProgress>().toEqualTypeOf<{ readonly value: number, readonly message?: string | undefined }>()
background.addTask(async function (url: string) {
  this.progress(0.5)
  this.progress({ value: 0.5 })
  this.progress({ value: 0.5, message: 'half of it' })
  expectTypeOf(this.progress(1)).toEqualTypeOf<void>()
  await fetch(url, { signal: this.signal })
  this.signal.throwIfAborted()
  if (this.attempt > 1) this.log.info('again')
}, 'http://localhost')
background.addTask(function () {
  // @ts-expect-error read-only
  this.id = 'other'
  // @ts-expect-error read-only
  this.attempt = 1
  // @ts-expect-error read-only
  this.signal = AbortSignal.abort()
  // @ts-expect-error not a number
  this.progress('50 %')
  // @ts-expect-error the value is missing
  this.progress({ message: 'half of it' })
  // @ts-expect-error the message is not a string
  this.progress({ value: 0.5, message: 1 })
  // @ts-expect-error the value is missing
  this.progress()
  // @ts-expect-error a run is cancelled from outside
  this.cancel()
})

// The parameters of an arrow in place are inferred from the arguments.
background.addTask((to, days) => {
  expectTypeOf(to).toEqualTypeOf<string>()
  expectTypeOf(days).toEqualTypeOf<number>()
}, 'a@b.c', 3)

// Of an overloaded function the last signature counts; an arrow picks another.
expectTypeOf(background.addTask(convert, 255, 16)).toEqualTypeOf<TaskRun<boolean>>()
expectTypeOf(background.addTask((value: string) => convert(value), 'ff')).toEqualTypeOf<TaskRun<string>>()
// @ts-expect-error the first signature
background.addTask(convert, 'ff')

// The parameters of a generic function are held to their constraints; an arrow settles what is not inferred.
expectTypeOf(background.addTask(save, { id: '1', name: 'ann' }).result).toExtend<{ id: string } | undefined>()
expectTypeOf(background.addTask((names: string[]) => saveEach(names, () => {}), ['ann'])).toEqualTypeOf<TaskRun<string>>()
// @ts-expect-error the constraint is not met
background.addTask(save, { name: 'ann' })

// A method is a function.
class Mailer {
  send (to: string): number { return to.length }
}
const mailer = new Mailer()
expectTypeOf(background.addTask(mailer.send.bind(mailer), 'a@b.c')).toEqualTypeOf<TaskRun<number>>()
// @ts-expect-error its argument is missing
background.addTask(mailer.send.bind(mailer))

// A BackgroundTask has its own arguments, and no more beside it.
expectTypeOf(background.addTask(new BackgroundTask(sendEmail, 'a@b.c', 'hi'))).toEqualTypeOf<TaskRun>()
// @ts-expect-error further arguments
background.addTask(new BackgroundTask(sendEmail, 'a@b.c', 'hi'), 'more')

// What cannot be a task.
// @ts-expect-error a promise: the result of a call, not the function
background.addTask(sendEmail('a@b.c', 'hi'))
// @ts-expect-error the result of a call
background.addTask(sendReminder('a@b.c'))
// @ts-expect-error a group: that is for addTasks
background.addTask(new BackgroundTasks())
// @ts-expect-error a list: that is for addTasks
background.addTask([() => {}])
// @ts-expect-error a class
background.addTask(Mailer)
// @ts-expect-error nothing
background.addTask()
// @ts-expect-error undefined
background.addTask(undefined)
// @ts-expect-error null
background.addTask(null)
// @ts-expect-error the name of a function
background.addTask('sendEmail', 'a@b.c', 'hi')

// addTasks takes tasks, groups, functions without parameters, or one group.
expectTypeOf(background.addTasks([
  () => {},
  async () => 1,
  sendAll.bind(null, 'hi'),
  (days?: number) => days,
  function () { expectTypeOf(this).toEqualTypeOf<TaskContext>() },
  new BackgroundTask(sendEmail, 'a@b.c', 'hi'),
  new BackgroundTasks()
])).toEqualTypeOf<TaskRun[]>()
expectTypeOf(background.addTasks(new BackgroundTasks())).toEqualTypeOf<TaskRun[]>()
expectTypeOf(background.addTasks([])).toEqualTypeOf<TaskRun[]>()
declare const readonlyTasks: readonly [BackgroundTask<[string]>, () => void]
background.addTasks(readonlyTasks)
// @ts-expect-error a function whose arguments would be missing
background.addTasks([sendEmail])
// @ts-expect-error a promise among them
background.addTasks([sendEmail('a@b.c', 'hi')])
// @ts-expect-error one function: that is for addTask
background.addTasks(() => {})
// @ts-expect-error one task: that is for addTask
background.addTasks(new BackgroundTask(() => {}))
// @ts-expect-error two lists
background.addTasks([() => {}], [() => {}])
