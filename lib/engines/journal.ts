import { resolve } from 'node:path'
import type { FastifyBaseLogger } from 'fastify'
import { aName, assertOption, assertOptions, atLeastOne, integer, type Checks } from '../checks'
import type {
  Engine, EngineWorker, StoredChange, StoredPage, StoredQuery, StoredSnapshot, StoredState, StoredTask
} from './engine'
import { JournalDatabase, requireLevel } from './journal-database'
import { JournalDeliveries } from './journal-deliveries'
import { Entry } from './journal-entry'
import { JournalError } from './journal-errors'
import { JournalIndex } from './journal-index'
import { JournalRecords } from './journal-records'
import { assertQuery } from './query'
import { ignore } from './quietly'

export interface JournalOptions {
  /**
   * The directory of the journal, made where it is missing. It belongs to one process at a time, and to the journal
   * alone: on a local disk, not on a network share.
   */
  location: string
  /** How many tasks may be at work at once: an integer of at least 1, or `Infinity`. @default 10 */
  concurrency?: number
  /**
   * How many failed and cancelled tasks are kept, to be looked at and tried again; beyond it, the oldest go: an integer
   * from 0 to 1 000 000. They are held in memory, all but their arguments. Completed ones are not kept.
   * @default 1_000
   */
  keepFailed?: number
}

const CHECKS: Checks<JournalOptions> = { location: aName, concurrency: atLeastOne, keepFailed: integer(1_000_000) }

/**
 * An engine for one process: durable tasks are written to a directory before the reply leaves, and those that a crash or
 * a shutdown has left are run when the next process opens it. Needs the package classic-level (`npm i classic-level`).
 *
 * The log of an open journal is the plugin's. How far a task has come is known to this process alone.
 *
 * @throws `FST_ERR_BACKGROUND_INVALID_OPTION` for a wrong or unknown option, or where classic-level is missing.
 */
export function journal (options: JournalOptions): Engine {
  assertOptions(options, CHECKS)
  assertOption('location', options.location, CHECKS.location)
  return new Journal(options)
}

/** What there is while a journal is open. */
interface Parts {
  readonly records: JournalRecords
  readonly deliveries: JournalDeliveries
}

class Journal implements Engine {
  readonly name = 'journal'
  readonly features = Object.freeze({ local: true })
  readonly #Level = requireLevel()
  readonly #location: string
  readonly #concurrency: number
  readonly #index: JournalIndex
  // What is being stored, by id.
  readonly #storing = new Map<string, Promise<void>>()
  #parts: Parts | undefined
  #opening: Promise<void> | undefined
  #closing: Promise<void> | undefined

  constructor ({ location, concurrency = 10, keepFailed = 1_000 }: JournalOptions) {
    this.#location = resolve(location)
    this.#concurrency = concurrency
    this.#index = new JournalIndex(keepFailed)
  }

  async open (log: FastifyBaseLogger): Promise<void> {
    if (this.#opening !== undefined) throw new JournalError(`The journal at ${this.#location} has been opened before: one application, one journal()`)
    this.#opening = this.#open(log)
    await this.#opening
  }

  async store (tasks: readonly StoredTask[]): Promise<void> {
    this.#assertOpen()
    // If another call fails to store one of them, it is this call's to store.
    for (let others = this.#underWay(tasks); others.length > 0; others = this.#underWay(tasks)) {
      await Promise.allSettled(others)
    }
    const { records } = this.#assertOpen()
    const fresh = [...new Map(tasks.map((task) => [task.id, task])).values()]
      .filter(({ id }) => this.#index.get(id) === undefined)
    const entries = fresh.map((task) => new Entry(this.#index.nextSeq(), task))
    const stored = records.add(entries, fresh)
    for (const { id } of entries) this.#storing.set(id, stored)
    try {
      await stored
    } finally {
      for (const { id } of entries) this.#storing.delete(id)
    }
    for (const entry of entries) {
      entry.isOwn = entry.isHeld = true
      this.#index.add(entry)
    }
  }

  release (ids: readonly string[]): void {
    for (const id of ids) {
      const entry = this.#index.get(id)
      if (entry?.isHeld !== true) continue
      entry.isHeld = false
      this.#parts?.deliveries.add(entry)
    }
    this.#parts?.deliveries.deliver()
  }

  async work (worker: EngineWorker): Promise<void> {
    this.#assertOpen().deliveries.work(worker)
  }

  async stop (): Promise<void> {
    this.#parts?.deliveries.stop()
  }

  close (): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async find (id: string): Promise<StoredSnapshot | undefined> {
    const { records } = this.#assertOpen()
    const entry = this.#index.get(id)
    return entry && await records.snapshot(entry)
  }

  async list (query: StoredQuery): Promise<StoredPage> {
    const { records } = this.#assertOpen()
    assertQuery(query, (cursor) => /^\d+$/.test(cursor))
    const { entries, cursor } = this.#index.page(query)
    return { tasks: await Promise.all(entries.map(async (entry) => await records.snapshot(entry))), cursor }
  }

  async counts (): Promise<Readonly<Record<StoredState, number>>> {
    this.#assertOpen()
    return this.#index.counts()
  }

  async retry (id: string): Promise<boolean> {
    const { deliveries } = this.#assertOpen()
    const entry = this.#index.get(id)
    return entry === undefined ? false : await deliveries.retry(entry)
  }

  async cancel (id: string, reason: string): Promise<boolean> {
    const { deliveries } = this.#assertOpen()
    const entry = this.#index.get(id)
    return entry === undefined ? false : await deliveries.cancel(entry, reason)
  }

  watch (listener: (change: StoredChange) => void): () => void {
    return this.#index.watch(listener)
  }

  async #open (log: FastifyBaseLogger): Promise<void> {
    const database = await JournalDatabase.open(this.#Level, this.#location)
    const records = new JournalRecords(database, this.#index, log, () => deliveries.deliver())
    const deliveries = new JournalDeliveries(this.#index, records, this.#concurrency)
    try {
      await records.load()
    } catch (error) {
      await database.close()
      throw new JournalError(`The journal at ${this.#location} cannot be read: ${(error as Error).message}`, error as Error)
    }
    for (const entry of this.#index.entries) if (entry.finishedAt === undefined) deliveries.add(entry)
    this.#parts = { records, deliveries }
  }

  async #close (): Promise<void> {
    await this.#opening?.catch(ignore)
    const parts = this.#parts
    this.#parts = undefined
    await parts?.deliveries.end()
    await parts?.records.close()
  }

  #underWay (tasks: readonly StoredTask[]): Array<Promise<void>> {
    return tasks.flatMap(({ id }) => this.#storing.get(id) ?? [])
  }

  #assertOpen (): Parts {
    if (this.#parts === undefined) throw new JournalError(`The journal at ${this.#location} is not open`)
    return this.#parts
  }
}
