import { ValueType, type Counter, type Histogram, type Meter } from '@opentelemetry/api'
import type { AttemptEvent, TaskRun } from '../types'
import { DESTINATION, ERROR_TYPE, errorType, OUTCOME, PROCESSING, SYSTEM } from './attributes'
import { hasFailed, outcomeOf } from './outcome'

// In seconds: what the messaging conventions advise for durations.
const BOUNDARIES = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]

/** What is counted and timed: attempts, waits and outcomes, by the task's name. */
export class Measures {
  readonly #duration: Histogram
  readonly #queueDuration: Histogram
  readonly #runs: Counter

  constructor (meter: Meter) {
    const seconds = { unit: 's', advice: { explicitBucketBoundaries: BOUNDARIES } }
    this.#duration = meter.createHistogram('messaging.process.duration', {
      ...seconds, description: 'How long attempts took'
    })
    this.#queueDuration = meter.createHistogram('fastify.background.queue.duration', {
      ...seconds, description: 'How long runs waited for their first attempt'
    })
    this.#runs = meter.createCounter('fastify.background.runs', {
      unit: '{run}', valueType: ValueType.INT, description: 'Runs that came to their end, by outcome'
    })
  }

  started ({ run, attempt, queueTime }: AttemptEvent): void {
    if (attempt !== 1) return
    // The clock of the machine that added it may be ahead.
    this.#queueDuration.record(Math.max(0, queueTime) / 1000, { [SYSTEM]: PROCESSING[SYSTEM], [DESTINATION]: run.name })
  }

  ended (event: AttemptEvent): void {
    const attributes = { ...PROCESSING, [DESTINATION]: event.run.name, [OUTCOME]: outcomeOf(event) }
    this.#duration.record(event.duration! / 1000,
      hasFailed(event) ? { ...attributes, [ERROR_TYPE]: errorType(event.error) } : attributes)
  }

  /** The run is over, here at least. */
  over ({ name, state }: TaskRun): void {
    // It goes on with its engine.
    if (state === 'stored') return
    this.#runs.add(1, { [SYSTEM]: PROCESSING[SYSTEM], [DESTINATION]: name, [OUTCOME]: state })
  }
}
