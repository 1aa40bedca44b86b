import type { FastifyBaseLogger } from 'fastify'
import type { StoredSnapshot, StoredTask } from './engine'
import type { JournalDatabase, Operation } from './journal-database'
import { Entry } from './journal-entry'
import { ignore, quietly, UnreadableRecord } from './journal-errors'
import {
  argsKey, decodeArgs, decodeTask, encodeArgs, encodeTask, seqOf, taskKey, type TaskRecord
} from './journal-format'
import type { JournalIndex } from './journal-index'

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
    for (const entry of entries) entry.writes++
    try {
      await this.#database.write(entries.flatMap(operationsOf))
    } catch (error) {
      for (const entry of entries) {
        entry.writes--
        this.#unsaved.add(entry)
      }
      this.giveWay(error)
      throw error
    }
    for (const entry of entries) {
      entry.writes--
      this.#unsaved.delete(entry)
      if (entry.writes === 0 && !entry.isTaken) entry.error = undefined
    }
  }

  /**
   * Reads what is not in memory.
   *
   * @throws UnreadableRecord
   */
  async read (entry: Entry): Promise<{ task: StoredTask, error: TaskRecord['error'] }> {
    const { seq, id, name, error, hasError } = entry
    const keys = [taskKey(seq), argsKey(seq)]
    const texts = await this.#database.read(keys).catch((error) => rethrow(error, keys[0]))
    const record = decodeTask(keys[0], texts[0])
    const { args, reqId, meta, retries, queuedAt } = decodeArgs(keys[1], texts[1])
    // The record may be behind by a write.
    return { task: { id, name, args, reqId, meta, retries, queuedAt }, error: hasError ? error ?? record.error : undefined }
  }

  /** @returns `undefined` where there is nothing that can be read. */
  async snapshot (entry: Entry): Promise<StoredSnapshot | undefined> {
    const { state, attempt, progress, startedAt, finishedAt } = entry
    try {
      return { ...await this.read(entry), state, attempt, progress, startedAt, finishedAt }
    } catch (error) {
      if (error instanceof UnreadableRecord) return undefined
      throw error
    }
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

function rethrow (error: NodeJS.ErrnoException, key: string): never {
  throw error.code === 'LEVEL_CORRUPTION' ? new UnreadableRecord(key, 'the file is damaged', error) : error
}
