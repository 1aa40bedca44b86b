import { types } from 'node:util'
import { aBoolean, anObject, assertOptions, integer, MAX_TIMER_DELAY, milliseconds, type Check, type Checks } from './checks'
import type { Backoff, TaskPolicy, When } from './types'

const DEFAULT_TIMEOUT = 0
const DEFAULT_RETRIES = 0
const DEFAULT_BACKOFF: ResolvedBackoff = { delay: 1_000, factor: 2, max: 60_000, jitter: true }

const MAX_RETRIES = 1_000_000
const MAX_FACTOR = 1_000

const CONDITIONS: readonly unknown[] = ['always', 'success', 'error'] satisfies When[]

export type ResolvedBackoff = Readonly<Required<Backoff>>

/** How a task is run, every question answered. */
export interface ResolvedPolicy {
  /** `undefined`: the default depends on where the task was added. */
  readonly when: When | undefined
  readonly timeout: number
  readonly retries: number
  readonly backoff: ResolvedBackoff
}

const aCondition: Check = ["'always', 'success', 'error' or a synchronous function", (value) =>
  typeof value === 'function'
    ? !types.isAsyncFunction(value) && !types.isGeneratorFunction(value)
    : CONDITIONS.includes(value)]

const aFactor: Check = [`a number from 1 to ${MAX_FACTOR}`,
  (value) => typeof value === 'number' && value >= 1 && value <= MAX_FACTOR]

export const POLICY_CHECKS: Checks<TaskPolicy> = {
  when: aCondition,
  timeout: milliseconds(),
  retries: integer(MAX_RETRIES),
  backoff: anObject
}

const BACKOFF_CHECKS: Checks<Backoff> = {
  delay: milliseconds(),
  factor: aFactor,
  max: milliseconds(MAX_TIMER_DELAY),
  jitter: aBoolean
}

/** Checks what `POLICY_CHECKS` does not reach. Throws `FST_ERR_BACKGROUND_INVALID_OPTION`. */
export function assertBackoff ({ backoff }: TaskPolicy): void {
  if (backoff !== undefined) assertOptions(backoff, BACKOFF_CHECKS, [], 'backoff.')
}

/** Fills in what a policy leaves open. */
export function resolvePolicy (own: TaskPolicy, defaults?: ResolvedPolicy): ResolvedPolicy {
  return Object.freeze({
    when: own.when ?? defaults?.when,
    timeout: own.timeout ?? defaults?.timeout ?? DEFAULT_TIMEOUT,
    retries: own.retries ?? defaults?.retries ?? DEFAULT_RETRIES,
    backoff: resolveBackoff(own.backoff ?? {}, defaults?.backoff ?? DEFAULT_BACKOFF)
  })
}

function resolveBackoff (own: Backoff, defaults: ResolvedBackoff): ResolvedBackoff {
  return Object.freeze({
    delay: own.delay ?? defaults.delay,
    factor: own.factor ?? defaults.factor,
    max: own.max ?? defaults.max,
    jitter: own.jitter ?? defaults.jitter
  })
}
