import type { FastifyBaseLogger } from 'fastify'
import type { StoredSnapshot, StoredTask } from './engine'
import type { JournalDatabase, Operation } from './journal-database'
import { Entry } from './journal-entry'
import { UnreadableRecord } from './journal-errors'
import {
  argsKey, decodeArgs, decodeTask, encodeArgs, encodeTask, seqOf, taskKey
} from './journal-format'
import type { JournalIndex } from './journal-index'
import { ignore, quietly } from './quietly'

// In milliseconds.
const TRY_AGAIN_AFTER = 1_000

/**
 * The entries' records in the database. What is in memory comes first: where a change could not be written (the disk is
 * full), it is written as soon as that is possible again.
 */
export class JournalRecords {
  readonly #database: JournalDatabase
  readonly #index: JournalIndex
  readonly #log: FastifyBaseLogger
  readonly #onBack: () => void
  // Those whose record is older than they are, because of a failed write.
  readonly #unsaved = new Set<Entry>()
  #isAway = false
  #isClosing = false
  #timer: NodeJS.Timeout | undefined

  /** @param onBack Called when the database can be written again. */
  constructor (database: JournalDatabase, index: JournalIndex, log: FastifyBaseLogger, onBack: () => void) {
    this.#database = database
    this.#index = index
    this.#log = log
    this.#onBack = onBack
  }

  /** Whether the database cannot be used for now. */
  get isAway (): boolean {
    return this.#isAway
  }

  /** Brings what is stored into the index. */
  async load (): Promise<void> {
    for (const damage of await this.#database.damage()) {
      quietly(() => this.#log.error({ damage }, 'a file of the journal is damaged, tasks may be lost'))
    }
    const finished: Entry[] = []
    for await (const [key, value] of this.#database.tasks()) {
      try {
        const entry = this.#decode(key, value)
        this.#index.add(entry)
        if (entry.finishedAt !== undefined) finished.push(entry)
      } catch (error) {
        this.reportUnreadable(error as UnreadableRecord)
      }
    }
    finished.sort((a, b) => a.finishedAt! - b.finishedAt!)
    this.save(this.#index.keep(finished)).catch(ignore)
  }

  async add (entries: readonly Entry[], tasks: readonly StoredTask[]): Promise<void> {
    await this.#database.add(entries.flatMap(({ seq }, i): Operation[] => [
      { type: 'put', key: taskKey(seq), value: encodeTask(entries[i].toRecord()) },
      { type: 'put', key: argsKey(seq), value: encodeArgs(tasks[i]) }
    ]))
  }

  /** Writes the entries as they are now, or removes those that are gone. What fails is tried again until it has worked. */
  async save (entries: readonly Entry[]): Promise<void> {
    try {
      await this.#database.write(entries.flatMap(operationsOf))
    } catch (error) {
      for (const entry of entries) this.#unsaved.add(entry)
      this.giveWay(error)
      throw error
    }
    for (const entry of entries) this.#unsaved.delete(entry)
  }

  /**
   * Reads what is not in memory.
   *
   * @throws UnreadableRecord
   */
  async read ({ seq, id, name, queuedAt }: Entry): Promise<StoredTask> {
    const key = argsKey(seq)
    const { args, reqId, meta, retries } = decodeArgs(key, await this.#database.read(key))
    return { id, name, args, reqId, meta, retries, queuedAt }
  }

  async snapshot (entry: Entry): Promise<StoredSnapshot> {
    const { id, name, queuedAt } = entry
    const task = await this.read(entry).catch((error): StoredTask => {
      if (error instanceof UnreadableRecord) return { id, name, args: [], meta: {}, retries: 0, queuedAt }
      throw error
    })
    // As it is now: it has moved on while its record was read.
    const { state, attempt, progress, error, startedAt, finishedAt } = entry
    return { task, state, attempt, progress, error, startedAt, finishedAt }
  }

  reportUnreadable (err: UnreadableRecord): void {
    quietly(() => this.#log.error({ err, key: err.key }, 'the journal has a record that cannot be read, it is left as it is'))
  }

  /** The database failed. It is tried again once in a while, until it works. */
  giveWay (err: unknown): void {
    if (!this.#isAway) {
      this.#isAway = true
      quietly(() => this.#log.error({ err }, 'the journal is out of order, no task is started until it works again'))
    }
    if (this.#isClosing) return
    this.#timer ??= setTimeout(() => this.#tryAgain(), TRY_AGAIN_AFTER)
  }

  async close (): Promise<void> {
    this.#isClosing = true
    clearTimeout(this.#timer)
    // Behind all that is being written.
    await this.save([]).catch(ignore)
    await this.save([...this.#unsaved]).catch((err) => {
      const tasks = Array.from(this.#unsaved, ({ id }) => id)
      quietly(() => this.#log.error({ err, tasks }, 'the journal closes without what became of these tasks: they will be delivered again'))
    })
    await this.#database.close()
  }

  async #tryAgain (): Promise<void> {
    this.#timer = undefined
    try {
      await this.save([...this.#unsaved])
    } catch {
      // Tried again later.
      return
    }
    this.#isAway = false
    quietly(() => this.#log.info('the journal works again'))
    this.#onBack()
  }

  #decode (key: string, value: string): Entry {
    const seq = seqOf(key)
    if (seq === undefined) throw new UnreadableRecord(key, 'its key is not one of a task')
    this.#index.reserveSeq(seq)
    const entry = Entry.fromRecord(seq, decodeTask(key, value))
    if (this.#index.get(entry.id) !== undefined) throw new UnreadableRecord(key, `there is another with the id ${entry.id}`)
    return entry
  }
}

function operationsOf (entry: Entry): Operation[] {
  const key = taskKey(entry.seq)
  if (!entry.isGone) return [{ type: 'put', key, value: encodeTask(entry.toRecord()) }]
  return [{ type: 'del', key }, { type: 'del', key: argsKey(entry.seq) }]
}
