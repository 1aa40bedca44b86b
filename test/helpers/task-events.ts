import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { FastifyInstance } from 'fastify'
import type background from '../../lib/index'

const NAME = 'fastify.background.task'
const PLAIN = ['queued', 'retrying', 'progress', 'failed', 'cancelled', 'discarded'] as const
const TRACING = ['start', 'end', 'error', 'asyncStart', 'asyncEnd'] as const
export const EVENTS = [...PLAIN, ...TRACING] as const

interface Test { teardown: (fn: () => unknown) => void }
export type EventName = typeof EVENTS[number]
/** Any payload: what only some have is `undefined` on the others. */
export type AnyEvent = background.TaskEvent & Partial<background.AttemptEvent & background.RetryingEvent &
  background.ProgressEvent & background.CancelledEvent>

/** What was published, and how things stood at that moment. */
export interface Seen {
  name: EventName
  event: AnyEvent
  /** The fields that the payload had then. */
  fields: AnyEvent
  state: background.TaskState
}

export function channelOf (name: EventName): string {
  return (TRACING as readonly string[]).includes(name) ? `tracing:${NAME}:${name}` : `${NAME}.${name}`
}

/** Subscribes to one channel until the end of the test. */
export function watch (t: Test, name: EventName, listener: (event: AnyEvent) => void): void {
  const onMessage = (message: unknown): void => { listener(message as AnyEvent) }
  subscribe(channelOf(name), onMessage)
  t.teardown(() => unsubscribe(channelOf(name), onMessage))
}

/** Keeps all that an application publishes, in order, and a line for each: the event, and the state of its run. */
export function record (t: Test, app: FastifyInstance): { seen: Seen[], lines: (task?: string) => string[] } {
  const seen: Seen[] = []
  for (const name of EVENTS) {
    watch(t, name, (event) => {
      if (event.background === app.background) seen.push({ name, event, fields: { ...event }, state: event.run.state })
    })
  }
  return {
    seen,
    lines: (task) => seen.filter(({ event }) => task === undefined || event.run.name === task)
      .map(({ name, state }) => `${name} ${state}`)
  }
}
