import { performance } from 'node:perf_hooks'
import type { TaskProgress } from '../types'
import type { Delivery, StoredError, StoredState, StoredTask } from './engine'
import type { TaskRecord } from './journal-format'
import type { HeapItem } from './journal-heap'

/** A cancel that came when there was no attempt to cancel: just before one, or just after. */
export interface PendingCancel {
  readonly reason: string
  /** Whether the task was cancelled, rather than at its end. */
  readonly settled: Promise<boolean>
  readonly settle: (isCancelled: boolean) => void
}

/** What is in memory of a task: all but its arguments and what goes with them. */
export class Entry implements HeapItem {
  readonly seq: number
  readonly id: string
  readonly name: string
  readonly queuedAt: number
  state: StoredState = 'queued'
  /** How many attempts have ended, and the one at work. */
  attempt = 0
  restarts = 0
  /** Of the first attempt. */
  startedAt: number | undefined
  finishedAt: number | undefined
  progress: TaskProgress | undefined
  /** Of the last failed attempt, or why it was cancelled. */
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
  /** Who is delivered first. */
  turn: number
  /** Until when it waits, by `performance.now()`. */
  due = 0
  slot = -1

  constructor (seq: number, { id, name, queuedAt }: Pick<StoredTask, 'id' | 'name' | 'queuedAt'>) {
    this.seq = this.turn = seq
    this.id = id
    this.name = name
    this.queuedAt = queuedAt
  }

  static fromRecord (seq: number, record: TaskRecord): Entry {
    const { state, attempt, restarts, due, startedAt, finishedAt, error } = record
    const entry = Object.assign(new Entry(seq, record), { state, attempt, restarts, startedAt, finishedAt, error })
    if (due !== undefined) entry.due = performance.now() + due - Date.now()
    if (state === 'active') {
      // The process that was at it has died.
      entry.restarts++
      entry.undoStart()
      entry.state = entry.waitingState
    }
    return entry
  }

  /** The state of a task that waits. */
  get waitingState (): 'queued' | 'retrying' {
    return this.attempt === 0 ? 'queued' : 'retrying'
  }

  startAttempt (): void {
    this.attempt++
    this.startedAt ??= Date.now()
    this.progress = undefined
  }

  /** As if the attempt at work had not been. */
  undoStart (): void {
    this.attempt--
    if (this.attempt === 0) this.startedAt = undefined
  }

  toRecord (): TaskRecord {
    const { id, name, queuedAt, state, attempt, restarts, startedAt, finishedAt, error } = this
    const wait = this.due - performance.now()
    return {
      id,
      name,
      queuedAt,
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
