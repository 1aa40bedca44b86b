import type { AttemptEvent, TaskState } from '../types'

/** How an attempt ended, which is over. */
export type AttemptOutcome = Exclude<TaskState, 'queued' | 'active' | 'discarded'>

/** Read off its event: the run may have gone on since, to be cancelled or to wait with its engine. */
export function outcomeOf (event: AttemptEvent): AttemptOutcome {
  const { state } = event.run
  if (hasFailed(event)) return state === 'failed' ? 'failed' : 'retrying'
  return state as AttemptOutcome
}

/** Whatever it failed with, and be it `undefined`. */
export function hasFailed (event: AttemptEvent): boolean {
  return 'error' in event
}
