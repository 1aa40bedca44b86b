import { expectTypeOf } from 'expect-type'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { BackgroundTask, BackgroundTasks, defineTask, RetryAfterError, UnrecoverableError } from 'fastify-background'
import type {
  Backoff, BackgroundOptions, TaskContext, TaskDefinition, TaskFunction, TaskOptions, TaskPolicy, TaskRun, When
} from 'fastify-background'

declare const app: FastifyInstance
declare const reply: FastifyReply

declare function countWords (text: string): number
declare function sendReminder (to: string, subject?: string, days?: number): string
declare function sendAll (subject: string, ...to: string[]): void
declare function loggedIn (this: TaskContext, user: string): Promise<string>
declare function ofADate (this: Date): number
declare function convert (value: string): string
declare function convert (value: number, radix: number): boolean
declare function save<T extends { id: string }> (record: T): T
declare function later (date: Date): PromiseLike<Date>
class Mailer {
  send (to: string): number { return to.length }
}

// The arguments and the result are those of the function.
const sendEmail = defineTask(async (to: string, subject: string) => to.length + subject.length)
expectTypeOf(sendEmail).toEqualTypeOf<TaskDefinition<[to: string, subject: string], Promise<number>>>()
expectTypeOf(defineTask(() => {})).toEqualTypeOf<TaskDefinition<[], void>>()
expectTypeOf(defineTask(countWords)).toEqualTypeOf<TaskDefinition<[text: string], number>>()
expectTypeOf(defineTask(sendReminder))
  .toEqualTypeOf<TaskDefinition<[to: string, subject?: string, days?: number], string>>()
expectTypeOf(defineTask((days: number = 3) => days)).toEqualTypeOf<TaskDefinition<[days?: number], number>>()
expectTypeOf(defineTask(sendAll)).toEqualTypeOf<TaskDefinition<[subject: string, ...to: string[]], void>>()
expectTypeOf(defineTask(later)).toEqualTypeOf<TaskDefinition<[date: Date], PromiseLike<Date>>>()
expectTypeOf(defineTask((fail: boolean) => fail ? undefined : Promise.resolve('done')))
  .toEqualTypeOf<TaskDefinition<[fail: boolean], Promise<string> | undefined>>()
expectTypeOf(defineTask(new Mailer().send)).toEqualTypeOf<TaskDefinition<[to: string], number>>()

// Of an overloaded function the last signature counts; a generic one is held to its constraint.
expectTypeOf(defineTask(convert)).toEqualTypeOf<TaskDefinition<[value: number, radix: number], boolean>>()
expectTypeOf(defineTask(save)).toEqualTypeOf<TaskDefinition<[record: { id: string }], { id: string }>>()

// `this` is the task's context, and no part of the definition.
expectTypeOf(defineTask(loggedIn)).toEqualTypeOf<TaskDefinition<[user: string], Promise<string>>>()
const withThis = defineTask(function (user: string) {
  expectTypeOf(this).toEqualTypeOf<TaskContext>()
  return this.attempt + user.length
}, { retries: 1 })
expectTypeOf(withThis).toEqualTypeOf<TaskDefinition<[user: string], number>>()
expectTypeOf<ThisParameterType<typeof withThis>>().toBeUnknown()
// @ts-expect-error it is not a Date
export const otherThis = defineTask(ofADate)

// The parameters of an arrow in place are inferred from the definition that is asked for.
export const asked: TaskDefinition<[string, number], void> = defineTask(function (to, days) {
  expectTypeOf(this).toEqualTypeOf<TaskContext>()
  expectTypeOf(to).toEqualTypeOf<string>()
  expectTypeOf(days).toEqualTypeOf<number>()
})

// What cannot be defined.
// @ts-expect-error nothing
export const ofNothing = defineTask()
// @ts-expect-error undefined
export const ofUndefined = defineTask(undefined)
// @ts-expect-error the name of a function
export const ofName = defineTask('sendEmail')
// @ts-expect-error a promise: the result of a call, not the function
export const ofPromise = defineTask(sendEmail('a@b.c', 'hi'))
// @ts-expect-error a class
export const ofClass = defineTask(Mailer)
// @ts-expect-error a task
export const ofTask = defineTask(new BackgroundTask(() => {}))
// @ts-expect-error a group
export const ofGroup = defineTask(new BackgroundTasks())
// @ts-expect-error the name goes among the options
export const nameFirst = defineTask('email', () => {})

// A call gives what the function gives, here and now, whatever `this` is.
expectTypeOf(sendEmail).parameters.toEqualTypeOf<[to: string, subject: string]>()
expectTypeOf(sendEmail('a@b.c', 'hi')).toEqualTypeOf<Promise<number>>()
expectTypeOf(async () => await sendEmail('a@b.c', 'hi')).returns.resolves.toBeNumber()
expectTypeOf(withThis('ann')).toEqualTypeOf<number>()
expectTypeOf({ greet: withThis }.greet('ann')).toEqualTypeOf<number>()
expectTypeOf(['ann', 'bob'].map((user) => withThis(user))).toEqualTypeOf<number[]>()
expectTypeOf(defineTask(sendReminder)('a@b.c', undefined, 3)).toEqualTypeOf<string>()
expectTypeOf(defineTask(sendAll)('hi', 'a@b.c', 'd@e.f')).toEqualTypeOf<void>()
// @ts-expect-error the second argument is missing
sendEmail('a@b.c')
// @ts-expect-error an argument has the wrong type
sendEmail('a@b.c', 1)
// @ts-expect-error one argument too many
sendEmail('a@b.c', 'hi', 'more')

// It tells its name and options, and cannot be changed.
expectTypeOf<keyof TaskDefinition>().toEqualTypeOf<'name' | 'options'>()
expectTypeOf(sendEmail.name).toEqualTypeOf<string>()
expectTypeOf(sendEmail.options).toEqualTypeOf<Readonly<TaskOptions>>()
// @ts-expect-error read-only
sendEmail.name = 'other'
// @ts-expect-error read-only
sendEmail.options = {}
// @ts-expect-error read-only
sendEmail.options.retries = 3

// The options. Those of another definition can be taken over.
export const withAll = defineTask(() => {}, {
  name: 'all',
  when: 'success',
  timeout: 1000,
  retries: 3,
  backoff: { delay: 100, factor: 1.5, max: 10_000, jitter: false },
  durable: true
})
export const withFew = defineTask(() => {}, { ...sendEmail.options, name: undefined, backoff: { delay: 0 } })
export const withCondition = defineTask(() => {}, {
  when: (request, reply) => {
    expectTypeOf(request).toEqualTypeOf<FastifyRequest>()
    expectTypeOf(reply).toEqualTypeOf<FastifyReply>()
    return reply.statusCode < 500
  }
})
expectTypeOf<TaskPolicy>().toEqualTypeOf<{ when?: When, timeout?: number, retries?: number, backoff?: Backoff }>()
expectTypeOf<TaskOptions>().toEqualTypeOf<
  { name?: string, when?: When, timeout?: number, retries?: number, backoff?: Backoff, durable?: boolean }
>()
expectTypeOf<Backoff>().toEqualTypeOf<{ delay?: number, factor?: number, max?: number, jitter?: boolean }>()
// @ts-expect-error a slip in a name
export const slip = defineTask(() => {}, { retrys: 3 })
// @ts-expect-error an option of the plugin
export const ofPlugin = defineTask(() => {}, { concurrency: 3 })
// @ts-expect-error an option of the plugin
export const ofPlugin2 = defineTask(() => {}, { onTaskError: () => {} })
// @ts-expect-error not a string
export const wrongName = defineTask(() => {}, { name: 1 })
// @ts-expect-error not a number
export const wrongTimeout = defineTask(() => {}, { timeout: '1s' })
// @ts-expect-error not a number
export const wrongRetries = defineTask(() => {}, { retries: true })
// @ts-expect-error not one of its words
export const wrongWhen = defineTask(() => {}, { when: 'sometimes' })
// @ts-expect-error not synchronous
export const asyncWhen = defineTask(() => {}, { when: async () => true })
// @ts-expect-error not an object
export const wrongBackoff = defineTask(() => {}, { backoff: 1000 })
// @ts-expect-error a slip in a name
export const slipInBackoff = defineTask(() => {}, { backoff: { maximum: 1000 } })
// @ts-expect-error not a number
export const wrongDelay = defineTask(() => {}, { backoff: { delay: '1s' } })
// @ts-expect-error neither true nor false
export const wrongJitter = defineTask(() => {}, { backoff: { jitter: 'full' } })
// @ts-expect-error neither true nor false
export const wrongDurable = defineTask(() => {}, { durable: 'yes' })
// @ts-expect-error null
export const nullOptions = defineTask(() => {}, null)
// @ts-expect-error the name goes among the options
export const nameAsOptions = defineTask(() => {}, 'email')

// addTask checks the arguments of a definition; its awaited result is the run's.
expectTypeOf(reply.background.addTask(sendEmail, 'a@b.c', 'hi')).toEqualTypeOf<TaskRun<number>>()
expectTypeOf(app.background.addTask(withThis, 'ann')).toEqualTypeOf<TaskRun<number>>()
expectTypeOf(app.background.addTask(defineTask(later), new Date())).toEqualTypeOf<TaskRun<Date>>()
expectTypeOf(app.background.addTask(defineTask(sendReminder), 'a@b.c')).toEqualTypeOf<TaskRun<string>>()
expectTypeOf(app.background.addTask(defineTask(sendAll), 'hi', 'a@b.c', 'd@e.f')).toEqualTypeOf<TaskRun<void>>()
// @ts-expect-error the second argument is missing
reply.background.addTask(sendEmail, 'a@b.c')
// @ts-expect-error an argument has the wrong type
reply.background.addTask(sendEmail, 'a@b.c', 1)
// @ts-expect-error one argument too many
app.background.addTask(sendEmail, 'a@b.c', 'hi', 'more')
// @ts-expect-error a promise: the result of a call, not the definition
app.background.addTask(sendEmail('a@b.c', 'hi'))
// @ts-expect-error options go into the definition
app.background.addTask(() => {}, { retries: 3 })

// It goes wherever a function goes: into tasks, groups and lists.
expectTypeOf(sendEmail).toExtend<TaskFunction>()
expectTypeOf(sendEmail).toExtend<TaskDefinition>()
expectTypeOf(sendEmail).toExtend<TaskFunction<[string, string], Promise<number>>>()
expectTypeOf(sendEmail).not.toExtend<TaskFunction<[string]>>()
expectTypeOf(new BackgroundTask(sendEmail, 'a@b.c', 'hi')).toEqualTypeOf<BackgroundTask<[string, string]>>()
// @ts-expect-error an argument has the wrong type
export const wrongTask = new BackgroundTask(sendEmail, 'a@b.c', 1)
// @ts-expect-error the arguments are missing
export const noArguments = new BackgroundTask(sendEmail)
const cleanUp = defineTask(async () => 1, { when: 'always' })
const group = new BackgroundTasks([cleanUp, new BackgroundTask(sendEmail, 'a@b.c', 'hi')])
expectTypeOf(group.addTask(sendEmail, 'a@b.c', 'hi').addTask(cleanUp)).toEqualTypeOf<BackgroundTasks>()
// @ts-expect-error an argument has the wrong type
group.addTask(sendEmail, 'a@b.c', 1)
// @ts-expect-error a definition whose arguments would be missing
export const wrongGroup = new BackgroundTasks([sendEmail])
expectTypeOf(app.background.addTasks([cleanUp, group, defineTask((days?: number) => days)])).toEqualTypeOf<TaskRun[]>()
// @ts-expect-error a definition whose arguments would be missing
app.background.addTasks([sendEmail])
// @ts-expect-error one definition: that is for addTask
app.background.addTasks(cleanUp)
export const definitions: TaskDefinition[] = [sendEmail, withThis, cleanUp, defineTask(sendAll), defineTask(save)]
// @ts-expect-error a function is not a definition
export const notDefined: TaskDefinition = countWords

// The errors that a task throws to say whether and when it is tried again.
const hopeless = new UnrecoverableError('no such address', { cause: new Error('550') })
expectTypeOf(hopeless).toExtend<Error>()
expectTypeOf<UnrecoverableError['name']>().toEqualTypeOf<string>()
const busy = new RetryAfterError(30_000, 'busy', { cause: new Error('429') })
expectTypeOf(busy).toExtend<Error>()
expectTypeOf<RetryAfterError['name']>().toEqualTypeOf<string>()
expectTypeOf(busy.delay).toEqualTypeOf<number>()
expectTypeOf(new RetryAfterError(0).message).toEqualTypeOf<string>()
declare const caught: unknown
if (caught instanceof RetryAfterError) expectTypeOf(caught.delay).toEqualTypeOf<number>()
// @ts-expect-error read-only
busy.delay = 0
// One that is derived may have a name of its own.
export class Declined extends UnrecoverableError {
  override readonly name = 'Declined'
}
// @ts-expect-error the delay is missing
export const withoutDelay = new RetryAfterError()
// @ts-expect-error the message comes second
export const messageFirst = new RetryAfterError('busy')

// The plugin's options are the defaults of all tasks; a name and being durable are none.
expectTypeOf<TaskPolicy>().toExtend<BackgroundOptions>()
expectTypeOf<Omit<TaskOptions, 'name' | 'durable'>>().toEqualTypeOf<TaskPolicy>()
expectTypeOf<BackgroundOptions>().toExtend<TaskPolicy>()
