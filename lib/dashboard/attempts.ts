import { listen } from '../listen'
import type { AppBackground, AttemptEvent } from '../types'
import type { Meter } from './meter'

/** Has a meter count the attempts of one application. @returns what ends it. */
export function countAttempts (background: AppBackground, meter: Meter): () => void {
  return listen<AttemptEvent>(background, {
    start ({ attempt, queueTime }) { if (attempt === 1) meter.started(queueTime) },
    // One of a synchronous function is over before `end`, and has no `asyncEnd`.
    end ({ run, duration }) { if (duration !== undefined) meter.ended(run.state, duration) },
    asyncEnd ({ run, duration }) { meter.ended(run.state, duration!) }
  })
}
