import { subscribe } from 'node:diagnostics_channel'
import { context, diag } from '@opentelemetry/api'
import { CHANNELS, surroundAttempts } from '../events'
import type { AppBackground, AttemptEvent, TaskEvent } from '../types'
import type { Measures } from './measures'
import type { Spans } from './spans'

/** What becomes of the events of one application. */
export interface Telemetry {
  readonly spans: Spans
  readonly measures: Measures
}

// The channels are global to the process: one listener serves all applications. It stays when they close, since their
// last runs end after that; it holds none of them.
const telemetries = new WeakMap<AppBackground, Telemetry>()
let listening = false

/** From here on, the events of an application go to `telemetry`. */
export function listenTo (background: AppBackground, telemetry: Telemetry): void {
  telemetries.set(background, telemetry)
  if (listening) return
  listening = true

  on<TaskEvent>(CHANNELS.queued, ({ spans }, event) => spans.inject(event))
  surroundAttempts(callInContext)
  on<AttemptEvent>(CHANNELS.end, (telemetry, event) => {
    // A function that is still at work has its end later.
    if (event.duration !== undefined) endAttempt(telemetry, event)
  })
  on<AttemptEvent>(CHANNELS.asyncEnd, endAttempt)
  on<TaskEvent>(CHANNELS.finished, ({ measures }, { run }) => measures.over(run))
}

function on<E extends TaskEvent> (channel: string, listener: (telemetry: Telemetry, event: E) => void): void {
  subscribe(channel, (message) => {
    const event = message as E
    const telemetry = telemetries.get(event.background)
    if (telemetry !== undefined) guarded(() => listener(telemetry, event))
  })
}

function callInContext (event: AttemptEvent, attempt: () => void): void {
  const telemetry = telemetries.get(event.background)
  const inside = telemetry && guarded(() => {
    telemetry.measures.started(event)
    return telemetry.spans.begin(event)
  })
  if (inside === undefined) attempt()
  else context.with(inside, attempt)
}

function endAttempt ({ spans, measures }: Telemetry, event: AttemptEvent): void {
  try {
    measures.ended(event)
  } finally {
    spans.end(event)
  }
}

/** A sampler or a propagator may throw, and that is no task's doing, nor the end of the process. */
function guarded<T> (action: () => T): T | undefined {
  try {
    return action()
  } catch (error) {
    diag.error('fastify-background: telemetry failed', error)
  }
}
