import { mkdir, readFile, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import type { ClassicLevel } from 'classic-level'
import { FST_ERR_BACKGROUND_INVALID_OPTION } from '../errors'
import { Fifo } from '../fifo'
import { JournalError, UnreadableRecord } from './journal-errors'
import { TASK_KEYS } from './journal-format'

export type Operation = { type: 'put', key: string, value: string } | { type: 'del', key: string }

interface Write {
  readonly operations: readonly Operation[]
  readonly sync: boolean
  /** What must not be found later if the write is rejected. */
  readonly fresh: readonly string[]
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

// In characters. A batch is held in memory a second time, and those behind it wait.
const FULL_BATCH = 1 << 20

/**
 * A LevelDB database that is written by one batch at a time. What comes meanwhile gathers in the next: however many
 * writes are waiting, they share one batch, and one sync (group commit).
 *
 * After a failed write, LevelDB goes on as if nothing had been, but its log has a gap, behind which it finds nothing
 * when it is opened again: not even what was synced (seen with a full disk). So a database with a failed write is
 * opened anew before anything else is done with it: that keeps all that came before the gap, and begins another log.
 */
export class JournalDatabase {
  readonly #level: ClassicLevel
  readonly #waiting = new Fifo<Write>()
  #isWriting = false
  #isBroken = false
  #repair: Promise<void> | undefined
  // Nobody knows whether a rejected write is on the disk.
  #unwanted: readonly string[] = []

  private constructor (level: ClassicLevel) {
    this.#level = level
  }

  /**
   * Makes what is missing of the directory.
   *
   * @throws JournalError
   */
  static async open (Level: typeof ClassicLevel, location: string): Promise<JournalDatabase> {
    const database = new JournalDatabase(new Level(await placeOf(location)))
    await database.#open()
    return database
  }

  /** All `task!` records, in their order. */
  tasks (): AsyncIterable<[key: string, value: string]> {
    return this.#level.iterator(TASK_KEYS)
  }

  /**
   * What LevelDB says of what it could not recover when it was opened: it goes on without, and tells nobody but its own
   * log, which begins anew with each opening.
   */
  async damage (): Promise<string[]> {
    const log = await readFile(join(this.#level.location, 'LOG'), 'utf8').catch(() => '')
    return log.split('\n').filter((line) => line.includes('Corruption'))
  }

  /** @throws UnreadableRecord where the file is damaged. */
  async read (key: string): Promise<string | undefined> {
    // What can no longer be written can be read.
    if (this.#level.status !== 'open') await this.#usable()
    try {
      return await this.#level.get(key)
    } catch (error) {
      throw (error as NodeJS.ErrnoException).code === 'LEVEL_CORRUPTION' ? new UnreadableRecord(key, 'the file is damaged', error) : error
    }
  }

  /** Writes behind what was given before. It outlives this process, though not a power cut. */
  async write (operations: readonly Operation[]): Promise<void> {
    await this.#enqueue(operations, false, [])
  }

  /** Writes records that are new, all or none. They are on the disk when it resolves. */
  async add (operations: readonly Operation[]): Promise<void> {
    await this.#enqueue(operations, true, operations.map(({ key }) => key))
  }

  async close (): Promise<void> {
    await this.#level.close()
  }

  async #enqueue (operations: readonly Operation[], sync: boolean, fresh: readonly string[]): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#waiting.push({ operations, sync, fresh, resolve, reject })
      if (this.#isWriting) return
      this.#isWriting = true
      // What else comes in this turn of the loop goes with it.
      setImmediate(() => this.#writeAll())
    })
  }

  async #writeAll (): Promise<void> {
    while (this.#waiting.length > 0) {
      const writes = this.#take()
      try {
        await this.#writeBatch(writes)
        for (const { resolve } of writes) resolve()
      } catch (error) {
        for (const { reject } of writes) reject(error)
      }
    }
    this.#isWriting = false
  }

  #take (): Write[] {
    const writes: Write[] = []
    for (let size = 0; size < FULL_BATCH && this.#waiting.length > 0;) {
      const write = this.#waiting.shift()!
      for (const operation of write.operations) if (operation.type === 'put') size += operation.value.length
      writes.push(write)
    }
    return writes
  }

  async #writeBatch (writes: readonly Write[]): Promise<void> {
    const operations = writes.flatMap(({ operations }) => operations)
    const sync = writes.some(({ sync }) => sync)
    for (let isLast = false; ; isLast = true) {
      await this.#usable()
      try {
        await this.#level.batch(operations, { sync })
        return
      } catch (error) {
        this.#isBroken = true
        this.#unwanted = writes.flatMap(({ fresh }) => fresh)
        // The failure may be an old one, of which the database would not let go. If so, this write will do it now.
        if (isLast) throw error
      }
    }
  }

  async #usable (): Promise<void> {
    if (!this.#isBroken) return
    this.#repair ??= this.#reopen().finally(() => { this.#repair = undefined })
    await this.#repair
  }

  async #reopen (): Promise<void> {
    await this.#level.close()
    await this.#open()
    await this.#level.batch(this.#unwanted.map((key) => ({ type: 'del', key })), { sync: true })
    this.#isBroken = false
  }

  async #open (): Promise<void> {
    try {
      await this.#level.open()
    } catch (error) {
      throw openError(this.#level.location, error as Error)
    }
  }
}

/**
 * The client is an optional dependency.
 *
 * @throws `FST_ERR_BACKGROUND_INVALID_OPTION` where it is missing.
 */
export function requireLevel (): typeof ClassicLevel {
  try {
    return (require('classic-level') as typeof import('classic-level')).ClassicLevel
  } catch (error) {
    throw new FST_ERR_BACKGROUND_INVALID_OPTION('engine', 'journal() to find the package classic-level (npm i classic-level)',
      `an error: ${(error as Error).message.split('\n', 1)[0]}`)
  }
}

/** The directory by the one name that its lock goes by, also where there is a link to it. */
async function placeOf (location: string): Promise<string> {
  try {
    await mkdir(location, { recursive: true })
    return await realpath(location)
  } catch (error) {
    throw cannotOpen(location, error as Error)
  }
}

/** @param error What classic-level rejected with: that it is not open, because of something. */
function openError (location: string, error: Error): JournalError {
  const cause = error.cause as NodeJS.ErrnoException
  return cause.code === 'LEVEL_LOCKED'
    ? new JournalError(`The journal at ${location} is in use: a journal belongs to one process, and is opened once`, cause)
    : cannotOpen(location, cause)
}

function cannotOpen (location: string, cause: Error): JournalError {
  return new JournalError(`The journal at ${location} cannot be opened: ${cause.message}`, cause)
}
