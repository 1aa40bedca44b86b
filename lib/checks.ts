import { types } from 'node:util'
import { describe } from './describe'
import { FST_ERR_BACKGROUND_INVALID_OPTION } from './errors'

/** What an option must be, in words and as a question. */
export type Check = readonly [expected: string, holds: (value: unknown) => boolean]

/** One check for each option that there is. */
export type Checks<T> = Readonly<Record<keyof T, Check>>

// The longest delay of a timer (https://nodejs.org/api/timers.html#settimeoutcallback-delay-args).
export const MAX_TIMER_DELAY = 2_147_483_647

export const aFunction: Check = ['a function', (value) => typeof value === 'function']
export const anObject: Check = ['an object', (value) => typeof value === 'object' && value !== null && !Array.isArray(value) && !types.isPromise(value)]
export const aBoolean: Check = ['true or false', (value) => typeof value === 'boolean']
export const aName: Check = ['a string that is not empty', (value) => typeof value === 'string' && value !== '']
export const atLeastOne: Check = ['an integer of at least 1, or Infinity',
  (value) => value === Infinity || (Number.isSafeInteger(value) && (value as number) >= 1)]

export const aCount: Check = ['an integer of at least 1', (value) => Number.isSafeInteger(value) && (value as number) >= 1]

export function integer (max: number, unit = 'an integer', min = 0): Check {
  return [`${unit} from ${min} to ${max}`,
    (value) => Number.isInteger(value) && (value as number) >= min && (value as number) <= max]
}

export function milliseconds (max = MAX_TIMER_DELAY, min = 0): Check {
  return integer(max, 'an integer of milliseconds', min)
}

/**
 * Checks options one by one.
 *
 * @param passing Names that are somebody else's.
 * @param path What stands before a name in an error.
 * @throws `FST_ERR_BACKGROUND_INVALID_OPTION` for the first that is wrong or unknown.
 */
export function assertOptions<T extends object> (
  options: unknown, checks: Checks<T>, passing: readonly string[] = [], path = ''
): asserts options is T {
  const [expected, holds] = anObject
  if (!holds(options)) throw new FST_ERR_BACKGROUND_INVALID_OPTION('options', expected, describe(options))
  for (const name of Object.keys(options as object)) {
    if (!Object.hasOwn(checks, name) && !passing.includes(name)) {
      throw new FST_ERR_BACKGROUND_INVALID_OPTION(path + name, `one of ${quoted(Object.keys(checks))}`, 'an unknown name')
    }
  }
  // By the name, not by what is there: options may be inherited.
  for (const [name, check] of Object.entries<Check>(checks)) {
    const value = (options as Record<string, unknown>)[name]
    if (value !== undefined) assertOption(path + name, value, check)
  }
}

/** @throws `FST_ERR_BACKGROUND_INVALID_OPTION` */
export function assertOption (name: string, value: unknown, [expected, holds]: Check): void {
  if (!holds(value)) throw new FST_ERR_BACKGROUND_INVALID_OPTION(name, expected, describe(value))
}

function quoted (names: readonly string[]): string {
  return names.map((name) => `'${name}'`).join(', ')
}
