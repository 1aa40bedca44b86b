import type { TaskState } from '../types'

/** What the page gets of a run. Texts are cut to a length that a row can bear. */
export interface ShownRun {
  readonly id: string
  readonly name: string
  readonly state: TaskState
  /** 0 before the first. */
  readonly attempt: number
  readonly progress?: { readonly value: number, readonly message?: string | undefined } | undefined
  /** In one line. */
  readonly error?: string | undefined
  /** In milliseconds since the epoch, as the next two. */
  readonly queuedAt: number
  readonly startedAt?: number | undefined
  readonly finishedAt?: number | undefined
  /** Whether an engine keeps it. */
  readonly durable: boolean
}

/** The whole of one run, for whoever asks. */
export interface ShownDetail extends ShownRun {
  /** The error with its stack. */
  readonly stack?: string | undefined
  /** Only with `showArguments`, and as long as there are any. */
  readonly args?: string | undefined
}

export interface ShownList {
  readonly runs: readonly ShownRun[]
  /** Whether there are others that were left out. */
  readonly more: boolean
}

/** The lists of the page. */
export type ListName = 'running' | 'waiting' | 'failed'

/** What an engine says of all processes. */
export interface ShownEngine {
  readonly name: string
  /** `undefined` until it has answered. */
  readonly counts: Readonly<Record<'queued' | 'active' | 'retrying' | 'completed' | 'failed' | 'cancelled', number>> | undefined
  /** Why what is shown of it is old. */
  readonly trouble?: string | undefined
}

/**
 * What attempts of one second came to, and how long they waited and took, in milliseconds; `null` where there was none.
 * A tuple, since a page gets hundreds of them.
 */
export type Second = readonly [
  time: number, completed: number, failed: number,
  queueP50: number | null, queueP99: number | null, durationP50: number | null, durationP99: number | null
]

/** What the page is sent, once a second. */
export interface Frame {
  /** The server's clock, in milliseconds since the epoch. */
  readonly time: number
  readonly stats: Readonly<Record<'accepted' | TaskState, number>>
  readonly engine?: ShownEngine | undefined
  readonly lists: Readonly<Record<ListName, ShownList>>
  /** The last ones that are over; all that are kept where the listener has missed some. */
  readonly seconds: readonly Second[]
}
