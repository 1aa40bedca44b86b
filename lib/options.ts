import { types } from 'node:util'
import { describe } from './describe'
import { FST_ERR_BACKGROUND_INVALID_OPTION } from './errors'
import type { BackgroundOptions, When } from './types'

const DEFAULT_CLOSE_TIMEOUT = 10_000
const DEFAULT_SETTLE_TIMEOUT = 60_000

// A shutdown waits in slices, one hook each, all registered at boot.
const MAX_CLOSE_TIMEOUT = 3_600_000
// The longest delay of a timer (https://nodejs.org/api/timers.html#settimeoutcallback-delay-args).
const MAX_TIMER_DELAY = 2_147_483_647

const CONDITIONS: readonly unknown[] = ['always', 'success', 'error'] satisfies When[]

// Fastify hands these to every plugin's options, for its own use.
const FASTIFY_OPTIONS: readonly string[] = ['prefix', 'logLevel', 'logSerializers']

export interface ResolvedOptions {
  /** `undefined`: the default depends on where the task was added. */
  readonly when: When | undefined
  readonly closeTimeout: number
  readonly settleTimeout: number
  readonly onTaskError: BackgroundOptions['onTaskError']
}

type Check = readonly [expected: string, holds: (value: unknown) => boolean]

const CHECKS: Readonly<Record<keyof BackgroundOptions, Check>> = {
  when: ["'always', 'success', 'error' or a synchronous function", isWhen],
  closeTimeout: milliseconds(MAX_CLOSE_TIMEOUT),
  settleTimeout: milliseconds(MAX_TIMER_DELAY),
  onTaskError: ['a function', (value) => typeof value === 'function']
}

/** Checks the plugin's options and fills in the defaults. Throws `FST_ERR_BACKGROUND_INVALID_OPTION`. */
export function resolveOptions (options: BackgroundOptions): ResolvedOptions {
  for (const [name, value] of Object.entries(options)) {
    if (Object.hasOwn(CHECKS, name)) assertOption(name as keyof BackgroundOptions, value)
    else if (!FASTIFY_OPTIONS.includes(name)) {
      throw new FST_ERR_BACKGROUND_INVALID_OPTION(name, `one of ${quoted(Object.keys(CHECKS))}`, 'an unknown name')
    }
  }
  return Object.freeze({
    when: options.when,
    closeTimeout: options.closeTimeout ?? DEFAULT_CLOSE_TIMEOUT,
    settleTimeout: options.settleTimeout ?? DEFAULT_SETTLE_TIMEOUT,
    onTaskError: options.onTaskError
  })
}

function assertOption (name: keyof BackgroundOptions, value: unknown): void {
  const [expected, holds] = CHECKS[name]
  if (value !== undefined && !holds(value)) {
    throw new FST_ERR_BACKGROUND_INVALID_OPTION(name, expected, describe(value))
  }
}

function isWhen (value: unknown): boolean {
  if (typeof value !== 'function') return CONDITIONS.includes(value)
  return !types.isAsyncFunction(value) && !types.isGeneratorFunction(value)
}

function milliseconds (max: number): Check {
  return [
    `an integer of milliseconds from 0 to ${max}`,
    (value) => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= max
  ]
}

function quoted (names: readonly string[]): string {
  return names.map((name) => `'${name}'`).join(', ')
}
