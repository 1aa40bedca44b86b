import { types } from 'node:util'
import { aBoolean, anObject, assertOptions, integer, milliseconds, type Check, type Checks } from './checks'
import type { Backoff, TaskPolicy, When } from './types'

const DEFAULT_POLICY: ResolvedPolicy = {
  when: undefined,
  timeout: 0,
  retries: 0,
  backoff: { delay: 1_000, factor: 2, max: 60_000, jitter: true }
}

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
  max: milliseconds(),
  jitter: aBoolean
}

/** As `assertOptions`, for options that have a policy among them: `checks` has those of `POLICY_CHECKS`. */
export function assertPolicy<T extends TaskPolicy> (
  options: unknown, checks: Checks<T>, passing?: readonly string[]
): asserts options is T {
  assertOptions(options, checks, passing)
  if (options.backoff !== undefined) assertOptions(options.backoff, BACKOFF_CHECKS, [], 'backoff.')
}

/** Fills in what a policy leaves open. */
export function resolvePolicy (own: TaskPolicy, defaults = DEFAULT_POLICY): ResolvedPolicy {
  return Object.freeze({
    when: own.when ?? defaults.when,
    timeout: own.timeout ?? defaults.timeout,
    retries: own.retries ?? defaults.retries,
    backoff: resolveBackoff(own.backoff ?? {}, defaults.backoff)
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
