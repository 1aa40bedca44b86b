import { performance } from 'node:perf_hooks'
import type { TaskProgress } from '../types'
import type { Delivery, StoredError, StoredState } from './engine'
import type { TaskRecord } from './journal-format'
import type { HeapItem } from './journal-heap'

/** A cancel that came when there was no attempt to cancel: just before one, or just after. */
export interface PendingCancel {
  readonly reason: string
  /** Whether the task was cancelled, rather than at its end. */
  readonly settled: Promise<boolean>
  readonly settle: (isCancelled: boolean) => void
}

/** What is in memory of a task: all but its arguments. */
export class Entry implements HeapItem {
  readonly seq: number
  readonly id: string
  readonly name: string
  state: StoredState = 'queued'
  /** How many attempts have ended, and the one at work. */
  attempt = 0
  restarts = 0
  startedAt: number | undefined
  finishedAt: number | undefined
  progress: TaskProgress | undefined
  /** Of the last failed attempt, as long as no record has it: else it is left there. */
  error: StoredError | undefined

  /** Whether this process has stored it. */
  isOwn = false
  /** Whether its reply has not left yet. */
  isHeld = false
  /** From when it is chosen to be delivered until its outcome is known. */
  isTaken = false
  /** The delivery that a worker is at. */
  delivery: Delivery | undefined
  cancelled: PendingCancel | undefined
  /** Its records are to be removed. */
  isGone = false
  /** How many writes of its record are under way. */
  writes = 0
  /** Who is delivered first. */
  turn: number
  /** Until when it waits, by `performance.now()`. */
  due = 0
  slot = -1

  constructor (seq: number, id: string, name: string) {
    this.seq = this.turn = seq
    this.id = id
    this.name = name
  }

  static fromRecord (seq: number, { id, name, state, attempt, restarts, due, startedAt, finishedAt }: TaskRecord): Entry {
    const entry = Object.assign(new Entry(seq, id, name), { state, attempt, restarts, startedAt, finishedAt })
    if (due !== undefined) entry.due = performance.now() + due - Date.now()
    if (state === 'active') {
      // The process that was at it has died.
      entry.restarts++
      entry.attempt--
      entry.state = entry.waitingState
    }
    return entry
  }

  /** Whether there is an error: that of the last failed attempt, or why it was cancelled. */
  get hasError (): boolean {
    if (this.finishedAt !== undefined) return true
    return this.state === 'active' ? this.attempt > 1 : this.attempt > 0
  }

  /** The state of a task that waits. */
  get waitingState (): 'queued' | 'retrying' {
    return this.attempt === 0 ? 'queued' : 'retrying'
  }

  toRecord (): TaskRecord {
    const { id, name, state, attempt, restarts, startedAt, finishedAt, error } = this
    const wait = this.due - performance.now()
    return {
      id,
      name,
      state: state as TaskRecord['state'],
      attempt,
      restarts,
      due: wait > 0 ? Date.now() + Math.ceil(wait) : undefined,
      startedAt,
      finishedAt,
      error
    }
  }
}
