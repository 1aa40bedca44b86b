import { subscribe, tracingChannel } from 'node:diagnostics_channel'
import { expectTypeOf } from 'expect-type'
import type {
  AppBackground, AttemptEvent, CancelledEvent, FailedEvent, ProgressEvent, RetryingEvent, TaskEvent, TaskProgress, TaskRun
} from 'fastify-background'

// Each event has the application and the run; some have more. None can be changed, but what an attempt comes to.
type Common = {
  readonly background: AppBackground
  readonly run: TaskRun
  readonly meta?: Record<string, string> | undefined
}
expectTypeOf<TaskEvent>().toEqualTypeOf<Common>()
expectTypeOf<AttemptEvent>().toEqualTypeOf<{
  readonly background: AppBackground
  readonly run: TaskRun
  readonly meta?: Record<string, string> | undefined
  readonly attempt: number
  readonly queueTime: number
  duration?: number
  error?: unknown
  result?: unknown
}>()
expectTypeOf<RetryingEvent>().toEqualTypeOf<Readonly<Common & { error: unknown, delay: number }>>()
expectTypeOf<ProgressEvent>().toEqualTypeOf<Readonly<Common & { progress: TaskProgress }>>()
expectTypeOf<FailedEvent>().toEqualTypeOf<Readonly<Common & { error: unknown }>>()
expectTypeOf<CancelledEvent>().toEqualTypeOf<Readonly<Common & { reason: unknown }>>()
expectTypeOf<AttemptEvent | RetryingEvent | ProgressEvent | FailedEvent | CancelledEvent>().toExtend<TaskEvent>()
declare const event: AttemptEvent
declare const run: TaskRun
// @ts-expect-error read-only
event.run = run
// @ts-expect-error it is not known before the end
event.duration.toFixed()

// What goes with a durable task is for subscribers to write into.
if (event.meta !== undefined) event.meta.traceparent = '00-1-2-01'
// @ts-expect-error other tasks have none
event.meta.traceparent = '00-1-2-01'
// @ts-expect-error it goes as text
if (event.meta !== undefined) event.meta.sampled = true

// They type what Node's channels take for theirs.
const attempts = tracingChannel<unknown, AttemptEvent>('fastify.background.task')
attempts.subscribe({
  start (message) {
    expectTypeOf(message).toEqualTypeOf<AttemptEvent>()
    expectTypeOf(message.run.name).toEqualTypeOf<string>()
  },
  end (message) { expectTypeOf(message).toExtend<AttemptEvent>() },
  asyncStart (message) { expectTypeOf(message).toExtend<AttemptEvent>() },
  asyncEnd (message) {
    expectTypeOf(message.duration).toEqualTypeOf<number | undefined>()
    expectTypeOf(message.result).toEqualTypeOf<unknown>()
  },
  error (message) { expectTypeOf(message.error).toEqualTypeOf<unknown>() }
})
const spans = new WeakMap<AttemptEvent, number>()
attempts.start.bindStore({} as import('node:async_hooks').AsyncLocalStorage<unknown>, (message) => {
  expectTypeOf(message).toEqualTypeOf<AttemptEvent>()
  spans.set(message, message.queueTime)
  return message.run.id
})
subscribe('fastify.background.task.cancelled', (message) => {
  const { run, reason } = message as CancelledEvent
  expectTypeOf(run).toEqualTypeOf<TaskRun>()
  expectTypeOf(reason).toEqualTypeOf<unknown>()
})
