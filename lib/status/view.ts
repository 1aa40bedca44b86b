import { createHash } from 'node:crypto'
import { orUndefined, readError } from '../read-error'
import type { TaskProgress, TaskSnapshot, TaskState } from '../types'

/** What a client is told of a run. */
export interface RunStatus {
  readonly id: string
  readonly name: string
  readonly state: TaskState
  /** The number of the attempt, from 1; 0 before the first. */
  readonly attempt: number
  readonly progress?: TaskProgress
  /** When it was accepted, in milliseconds since the epoch; as the next two. */
  readonly queuedAt: number
  readonly startedAt?: number
  readonly finishedAt?: number
  /** With `exposeErrors`: of the last attempt, or why it was cancelled. */
  readonly error?: { readonly name: string, readonly message: string, readonly code?: string }
  /** With `exposeResult`. */
  readonly result?: unknown
  /** Where the result is, if its task has said so. */
  readonly location?: string
}

export interface ViewOptions {
  readonly exposeErrors: boolean
  readonly exposeResult: boolean
  readonly redirect: boolean
}

const FINAL: readonly TaskState[] = ['completed', 'failed', 'cancelled', 'discarded']
// What may stand in a header as it is: no spaces, no line breaks.
const HEADER_VALUE = /^[\x21-\x7e]+$/

export function isFinal ({ state }: { readonly state: TaskState }): boolean {
  return FINAL.includes(state)
}

/** What may be shown of a run. Never throws: errors and results may be anything. */
export function toStatus (run: TaskSnapshot, { exposeErrors, exposeResult, redirect }: ViewOptions): RunStatus {
  const { id, name, state, attempt, progress, queuedAt, startedAt, finishedAt, error, result } = run
  const completed = state === 'completed'
  return {
    id,
    name,
    state,
    attempt,
    progress,
    queuedAt,
    startedAt,
    finishedAt,
    error: exposeErrors && error !== undefined ? errorOf(error) : undefined,
    result: exposeResult && completed ? orUndefined(() => JSON.parse(JSON.stringify(result))) : undefined,
    location: redirect && completed ? orUndefined(() => locationOf(result)) : undefined
  }
}

/** A name for this status and no other: the same in every process. */
export function versionOf (json: string): string {
  return createHash('sha256').update(json).digest('base64url').slice(0, 16)
}

function errorOf (thrown: unknown): RunStatus['error'] {
  const { name = 'Error', message, code } = readError(thrown)
  return { name, message, code }
}

function locationOf (result: unknown): string | undefined {
  const { location } = result as { location?: unknown }
  return typeof location === 'string' && HEADER_VALUE.test(location) ? location : undefined
}
