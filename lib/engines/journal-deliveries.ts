import { performance } from 'node:perf_hooks'
import type { Delivery, EngineWorker, Outcome, StoredTask } from './engine'
import type { Entry, PendingCancel } from './journal-entry'
import { UnreadableRecord } from './journal-errors'
import type { JournalIndex } from './journal-index'
import type { JournalRecords } from './journal-records'
import { JournalSchedule } from './journal-schedule'
import { ignore } from './quietly'
import { toStoredError } from './stored-error'

// They are read, and their starts written, as one.
const MOST_AT_ONCE = 64
// A task that has been at work for so long, in milliseconds, is no more likely to take its process down than another.
const SUSPECT_TIME = 60_000

interface Start {
  readonly entry: Entry
  readonly task: StoredTask
}

/** Brings what is ready to the worker, never to more than so many of its `run`s at once, and keeps what became of it. */
export class JournalDeliveries {
  readonly #index: JournalIndex
  readonly #records: JournalRecords
  readonly #schedule: JournalSchedule
  #concurrency: number
  #worker: EngineWorker | undefined
  #taken = 0
  // The one at work of those that processes have died at, for as long as others of them wait for it. Where such a task
  // takes its process down, it alone is accused again, and those that were beside it the first time are not (D6).
  #suspect: Entry | undefined
  #isStarting = false
  #isStopped = false
  #isEnding = false
  #onEnd: (() => void) | undefined

  constructor (index: JournalIndex, records: JournalRecords, concurrency: number) {
    this.#index = index
    this.#records = records
    this.#schedule = new JournalSchedule(() => index.nextSeq(), () => this.deliver())
    this.#concurrency = concurrency
  }

  /** Adds one that may be delivered when it is due. */
  add (entry: Entry): void {
    if (!this.#isEnding) this.#schedule.add(entry)
  }

  work (worker: EngineWorker): void {
    this.#worker = worker
    this.#concurrency = Math.min(this.#concurrency, worker.concurrency)
    this.deliver()
  }

  /** Begins with what is ready, if there is room. */
  deliver (): void {
    if (!this.#isStarting) this.#startAll()
  }

  /** What was not stored by this process is left for another. */
  stop (): void {
    this.#isStopped = true
  }

  /** Starts nothing more. Resolves when the outcome of all that was started is known. */
  async end (): Promise<void> {
    this.#isEnding = true
    this.#schedule.clear()
    if (this.#taken > 0) await new Promise<void>((resolve) => { this.#onEnd = resolve })
  }

  async cancel (entry: Entry, reason: string): Promise<boolean> {
    if (entry.finishedAt !== undefined) return false
    if (entry.isTaken) return await this.#cancelTaken(entry, reason)
    this.#schedule.remove(entry)
    entry.isHeld = false
    entry.error = toStoredError(reason, 'AbortError')
    await this.#finish(entry, 'cancelled')
    return true
  }

  async retry (entry: Entry): Promise<boolean> {
    if (entry.finishedAt === undefined) return false
    entry.attempt = entry.restarts = 0
    entry.startedAt = entry.progress = entry.error = undefined
    this.#index.revive(entry)
    entry.turn = this.#index.nextSeq()
    const saved = this.#records.save([entry])
    this.#addLater(entry, 0)
    this.deliver()
    await saved
    return true
  }

  // One round after the other: so they start in their order, though they are read side by side.
  async #startAll (): Promise<void> {
    this.#isStarting = true
    for (let taken = this.#take(); taken.length > 0; taken = this.#take()) await this.#start(taken)
    this.#isStarting = false
  }

  #take (): Entry[] {
    const taken: Entry[] = []
    if (this.#worker === undefined || this.#records.isAway) return taken
    while (taken.length < MOST_AT_ONCE && this.#taken < this.#concurrency) {
      const entry = this.#schedule.shift(this.#suspect === undefined)
      if (entry === undefined) break
      if (!this.#mayStart(entry)) continue
      this.#taken++
      if (entry.restarts > 0) this.#suspect = entry
      entry.isTaken = true
      taken.push(entry)
    }
    return taken
  }

  async #start (taken: readonly Entry[]): Promise<void> {
    const read = await Promise.all(taken.map(async (entry) => await this.#read(entry)))
    const starts = read.filter((start) => start !== undefined)
    for (const { entry } of starts) {
      entry.startAttempt()
      this.#index.move(entry, 'active')
    }
    try {
      // Before the start: who opens the journal after a crash is to know of it (D6).
      await this.#records.save(starts.map(({ entry }) => entry))
    } catch {
      for (const { entry } of starts) this.#giveBack(entry)
      return
    }
    for (const start of starts) this.#run(start)
  }

  async #read (entry: Entry): Promise<Start | undefined> {
    try {
      return { entry, task: await this.#records.read(entry) }
    } catch (error) {
      if (error instanceof UnreadableRecord) {
        this.#records.reportUnreadable(error)
        this.#settle(entry, { state: 'failed', error })
      } else {
        this.#records.giveWay(error)
        this.#again(entry, 0)
      }
      return undefined
    }
  }

  async #run ({ entry, task }: Start): Promise<void> {
    // What happened while the start was written.
    if (entry.cancelled !== undefined || !this.#mayStart(entry)) {
      this.#giveBack(entry)
      return
    }
    const delivery: Delivery = {
      task,
      attempt: entry.attempt,
      restarts: entry.restarts,
      progress: (progress) => {
        if (entry.delivery !== delivery) return
        entry.progress = progress
        this.#index.changed(entry)
      }
    }
    entry.delivery = delivery
    const timer = entry === this.#suspect ? setTimeout(() => this.#acquit(), SUSPECT_TIME) : undefined
    const outcome = await this.#worker!.run(delivery)
    clearTimeout(timer)
    this.#settle(entry, outcome)
    this.deliver()
  }

  /** Others need not wait for it any more. */
  #acquit (): void {
    this.#suspect = undefined
    this.deliver()
  }

  #settle (entry: Entry, outcome: Outcome): void {
    // It comes again behind those that are ready now.
    entry.turn = this.#index.nextSeq()
    switch (outcome.state) {
      case 'returned':
        this.#giveBack(entry, outcome.delay)
        return
      case 'failed':
        entry.error = toStoredError(outcome.error)
        if (outcome.retryIn !== undefined) {
          this.#again(entry, outcome.retryIn)
          return
        }
        break
      case 'cancelled':
        entry.error = toStoredError(outcome.reason, 'AbortError')
    }
    const cancel = this.#release(entry)
    this.#finish(entry, outcome.state).catch(ignore)
    cancel?.settle(outcome.state === 'cancelled')
  }

  /** As if the delivery had not been. */
  #giveBack (entry: Entry, delay = 0): void {
    entry.undoStart()
    this.#again(entry, delay)
  }

  /** It is to be delivered once more, unless it was cancelled meanwhile. */
  #again (entry: Entry, delay: number): void {
    const cancel = this.#release(entry)
    if (cancel === undefined) {
      this.#index.move(entry, entry.waitingState)
      this.#addLater(entry, delay)
      this.#records.save([entry]).catch(ignore)
    } else {
      entry.error = toStoredError(cancel.reason, 'AbortError')
      this.#finish(entry, 'cancelled').catch(ignore)
      cancel.settle(true)
    }
  }

  /** @returns the cancel that waits for what becomes of it. */
  #release (entry: Entry): PendingCancel | undefined {
    const { cancelled } = entry
    entry.isTaken = false
    entry.delivery = entry.cancelled = undefined
    this.#taken--
    if (this.#suspect === entry) this.#suspect = undefined
    if (this.#taken === 0) this.#onEnd?.()
    return cancelled
  }

  async #finish (entry: Entry, state: 'completed' | 'failed' | 'cancelled'): Promise<void> {
    await this.#records.save([...new Set([entry, ...this.#index.finish(entry, state)])])
  }

  #addLater (entry: Entry, delay: number): void {
    entry.due = performance.now() + delay
    this.add(entry)
  }

  #mayStart (entry: Entry): boolean {
    return !this.#isEnding && (entry.isOwn || !this.#isStopped)
  }

  async #cancelTaken (entry: Entry, reason: string): Promise<boolean> {
    if (entry.delivery !== undefined && this.#worker!.cancel(entry.id, reason)) return true
    // Its attempt is about to start, or has just ended.
    entry.cancelled ??= pendingCancel(reason)
    return await entry.cancelled.settled
  }
}

function pendingCancel (reason: string): PendingCancel {
  let settle!: PendingCancel['settle']
  const settled = new Promise<boolean>((resolve) => { settle = resolve })
  return { reason, settled, settle }
}
