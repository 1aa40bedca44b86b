import { describe } from './describe'
import { FST_ERR_BACKGROUND_INVALID_OPTION } from './errors'
import type { TaskProgress } from './types'

/** Makes a progress of what a task gave as one. Throws `FST_ERR_BACKGROUND_INVALID_OPTION`. */
export function toProgress (given: unknown): TaskProgress {
  const { value, message } = typeof given === 'object' && given !== null ? given as Partial<TaskProgress> : { value: given }
  if (typeof value !== 'number' || !(value >= 0 && value <= 1)) {
    throw new FST_ERR_BACKGROUND_INVALID_OPTION('progress', 'a number from 0 to 1, or { value, message } with such a number',
      describe(value))
  }
  if (message !== undefined && typeof message !== 'string') {
    throw new FST_ERR_BACKGROUND_INVALID_OPTION('progress.message', 'a string', describe(message))
  }
  return Object.freeze({ value, message })
}
