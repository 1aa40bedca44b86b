import type { JobType } from 'bullmq'
import { fetchJob, readJob, toSnapshot } from './bullmq-job'
import type { Bullmq, JobQueue } from './bullmq-server'
import type { StoredPage, StoredQuery, StoredSnapshot, StoredState } from './engine'
import { assertQuery } from './query'

// Where BullMQ keeps the jobs. Each has an order of its own: the newest first, by when a job came there.
const PLACES = ['active', 'waiting', 'prioritized', 'delayed', 'completed', 'failed'] as const satisfies JobType[]
type Place = typeof PLACES[number]

const WAITING: Place[] = ['waiting', 'prioritized', 'delayed']
const PLACES_OF: Readonly<Record<StoredState, readonly Place[]>> = {
  queued: WAITING,
  active: ['active'],
  retrying: WAITING,
  completed: ['completed'],
  failed: ['failed'],
  // One that waits ends as soon as somebody takes it.
  cancelled: ['failed', ...WAITING]
}

// More are not looked at for one page, however few of them fit the query.
const MAX_READ = 1_000
// So many of a place are read at once.
const MAX_WINDOW = 100

/** @throws `FST_ERR_BACKGROUND_INVALID_OPTION` */
export function assertListable (query: StoredQuery): void {
  assertQuery(query, (cursor) => {
    const offsets = parseCursor(cursor)
    return offsets.length === placesOf(query.state).length && offsets.every((offset) => Number.isSafeInteger(offset) && offset >= 0)
  })
}

/**
 * Merges the places, the newest first, as far as their own orders allow. A cursor says how far each has been read: what
 * moves between two pages may be missed or come twice.
 */
export async function listJobs (bullmq: Bullmq, queue: JobQueue, { state, name, limit, cursor }: StoredQuery): Promise<StoredPage> {
  const places = placesOf(state)
  const offsets = cursor === undefined ? places.map(() => 0) : parseCursor(cursor)
  const sources = places.map((place, i) => new Source(bullmq, queue, place, offsets[i] as number, Math.min(limit, MAX_WINDOW)))
  const tasks: StoredSnapshot[] = []
  let read = 0
  let newest = await newestOf(sources)
  while (newest !== undefined && tasks.length < limit && read < MAX_READ) {
    const task = newest.take()
    read++
    if ((state ?? task.state) === task.state && (name ?? task.task.name) === task.task.name) tasks.push(task)
    newest = await newestOf(sources)
  }
  return { tasks, cursor: newest && sources.map(({ offset }) => offset).join('.') }
}

/** One place, read from an offset on. */
class Source {
  readonly #bullmq: Bullmq
  readonly #queue: JobQueue
  readonly #place: Place
  readonly #window: number
  #offset: number
  // One that went while it was read is undefined.
  #ahead: Array<StoredSnapshot | undefined> = []
  #isRead = false

  constructor (bullmq: Bullmq, queue: JobQueue, place: Place, offset: number, window: number) {
    this.#bullmq = bullmq
    this.#queue = queue
    this.#place = place
    this.#offset = offset
    this.#window = window
  }

  get offset (): number {
    return this.#offset
  }

  /** The next one, or `undefined` where there is none. */
  async peek (): Promise<StoredSnapshot | undefined> {
    for (;;) {
      if (this.#ahead.length === 0 && !this.#isRead) await this.#read()
      if (this.#ahead.length === 0 || this.#ahead[0] !== undefined) return this.#ahead[0]
      this.take()
    }
  }

  take (): StoredSnapshot {
    this.#offset++
    return this.#ahead.shift() as StoredSnapshot
  }

  async #read (): Promise<void> {
    const ids = await this.#queue.getRanges([this.#place], this.#offset, this.#offset + this.#window - 1)
    this.#isRead = ids.length < this.#window
    this.#ahead = await Promise.all(ids.map(async (id) => {
      const json = await fetchJob(this.#queue, id)
      return json && toSnapshot(readJob(this.#bullmq, this.#queue, json, id), this.#place)
    }))
  }
}

async function newestOf (sources: readonly Source[]): Promise<Source | undefined> {
  let newest: Source | undefined
  let queuedAt = -Infinity
  const heads = await Promise.all(sources.map((source) => source.peek()))
  for (const [i, head] of heads.entries()) {
    if (head === undefined || head.task.queuedAt <= queuedAt) continue
    newest = sources[i]
    queuedAt = head.task.queuedAt
  }
  return newest
}

function placesOf (state: StoredState | undefined): readonly Place[] {
  return state === undefined ? PLACES : PLACES_OF[state]
}

function parseCursor (cursor: string): number[] {
  return cursor.split('.').map(Number)
}
