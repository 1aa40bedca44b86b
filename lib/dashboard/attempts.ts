import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { AppBackground, AttemptEvent } from '../types'
import type { Meter } from './meter'

const ATTEMPTS = 'tracing:fastify.background.task'

/** Has a meter count the attempts of one application. @returns what ends it. */
export function countAttempts (background: AppBackground, meter: Meter): () => void {
  const listeners = {
    start: listener(({ attempt, queueTime }) => { if (attempt === 1) meter.started(queueTime) }),
    // One of a synchronous function is over before `end`, and has no `asyncEnd`.
    end: listener((event) => { if (event.duration !== undefined) meter.ended(event.run.state, event.duration) }),
    asyncEnd: listener(({ run, duration }) => { meter.ended(run.state, duration!) })
  }
  for (const [name, each] of Object.entries(listeners)) subscribe(`${ATTEMPTS}:${name}`, each)
  return () => {
    for (const [name, each] of Object.entries(listeners)) unsubscribe(`${ATTEMPTS}:${name}`, each)
  }

  function listener (listen: (event: AttemptEvent) => void) {
    return (message: unknown): void => {
      const event = message as AttemptEvent
      if (event.background === background) listen(event)
    }
  }
}
