import type { StoredChange, StoredQuery, StoredState } from './engine'
import type { Entry } from './journal-entry'
import { Listeners } from './listeners'

/** What tasks there are: the unfinished ones, and as many of the failed and cancelled as are kept. */
export class JournalIndex {
  // In the order of storing: what is in it keeps its place.
  readonly #entries = new Map<string, Entry>()
  // Failed or cancelled, in the order of that.
  readonly #kept = new Set<Entry>()
  readonly #counts: Record<StoredState, number> = { queued: 0, active: 0, retrying: 0, completed: 0, failed: 0, cancelled: 0 }
  readonly #listeners = new Listeners()
  readonly #keepFailed: number
  #lastSeq = 0

  constructor (keepFailed: number) {
    this.#keepFailed = keepFailed
  }

  nextSeq (): number {
    return ++this.#lastSeq
  }

  /** Keeps a number from being given to a task. */
  reserveSeq (seq: number): void {
    this.#lastSeq = Math.max(this.#lastSeq, seq)
  }

  get (id: string): Entry | undefined {
    return this.#entries.get(id)
  }

  get entries (): Iterable<Entry> {
    return this.#entries.values()
  }

  add (entry: Entry): void {
    this.#entries.set(entry.id, entry)
    this.#counts[entry.state]++
    this.changed(entry)
  }

  move (entry: Entry, state: StoredState): void {
    this.#counts[entry.state]--
    this.#counts[state]++
    entry.state = state
    this.changed(entry)
  }

  /** @returns the entries that are not kept any longer, this one maybe among them. */
  finish (entry: Entry, state: 'completed' | 'failed' | 'cancelled'): Entry[] {
    entry.finishedAt = Date.now()
    entry.due = 0
    this.move(entry, state)
    if (state !== 'completed') return this.keep([entry])
    this.drop(entry)
    return [entry]
  }

  /** @returns the entries that are not kept any longer, the oldest. */
  keep (finished: readonly Entry[]): Entry[] {
    for (const entry of finished) this.#kept.add(entry)
    const excess: Entry[] = []
    for (const entry of this.#kept) {
      if (this.#kept.size <= this.#keepFailed) break
      this.drop(entry)
      excess.push(entry)
    }
    return excess
  }

  /** A finished one is to start again. */
  revive (entry: Entry): void {
    this.#kept.delete(entry)
    entry.finishedAt = undefined
    this.move(entry, 'queued')
  }

  drop (entry: Entry): void {
    this.#kept.delete(entry)
    this.#entries.delete(entry.id)
    this.#counts[entry.state]--
    entry.isGone = true
  }

  counts (): Record<StoredState, number> {
    return { ...this.#counts }
  }

  /** The newest first. */
  page ({ state, name, limit, cursor }: StoredQuery): { entries: Entry[], cursor: string | undefined } {
    const found: Entry[] = []
    for (const entry of this.#entries.values()) {
      if (cursor !== undefined && entry.seq >= Number(cursor)) break
      if ((state === undefined || entry.state === state) && (name === undefined || entry.name === name)) found.push(entry)
    }
    const start = Math.max(0, found.length - limit)
    return { entries: found.slice(start).reverse(), cursor: start === 0 ? undefined : String(found[start].seq) }
  }

  watch (listener: (change: StoredChange) => void): () => void {
    return this.#listeners.add(listener)
  }

  changed ({ id, state, progress }: Entry): void {
    this.#listeners.tell({ id, state, progress })
  }
}
