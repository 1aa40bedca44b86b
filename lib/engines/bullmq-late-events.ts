// PostgreSQL gives an event its id when it is written, and shows it when its transaction ends: others with higher ids may
// have been read by then, and BullMQ reads on from the highest. Here those that come behind are looked for as well.
import type { IQueueBackend, PgPool } from 'bullmq'

// How long a transaction may take to end, in milliseconds: longer than PostgreSQL takes to resolve a deadlock.
const WINDOW = 5_000
// Between two looks, in milliseconds.
const INTERVAL = 250

type Events = NonNullable<Awaited<ReturnType<IQueueBackend['readEvents']>>>
type Entry = Events[0][1][0]

/** Makes the reader of a queue's events miss none. @returns the backend. */
export function readLateEvents (backend: IQueueBackend, pool: PgPool, queueName: string): IQueueBackend {
  const read = backend.readEvents.bind(backend)
  const seen = new Seen()
  let lookedAt = 0
  backend.readEvents = async (id, timeout) => {
    seen.begin(Number(id))
    const entries = (await read(String(seen.newest), timeout))?.[0][1] ?? []
    const late: Entry[] = []
    if (Date.now() - lookedAt >= INTERVAL) {
      late.push(...await lateEvents(pool, queueName, seen))
      lookedAt = Date.now()
    }
    seen.add([...late, ...entries].map(([id]) => Number(id)))
    return late.length + entries.length === 0 ? null : [['events', [...late, ...entries]]]
  }
  return backend
}

async function lateEvents (pool: PgPool, queueName: string, seen: Seen): Promise<Entry[]> {
  const { rows } = await pool.query<{ id: string }>(
    'SELECT id FROM event WHERE queue = $1 AND id > $2 AND id < $3', [queueName, seen.oldest, seen.newest])
  const late = rows.map(({ id }) => Number(id)).filter((id) => !seen.has(id))
  if (late.length === 0) return []
  const events = await pool.query<{ id: string, event: string, data: Record<string, unknown> }>(
    'SELECT id, event, data FROM event WHERE queue = $1 AND id = ANY($2::bigint[]) ORDER BY id', [queueName, late])
  return events.rows.map(({ id, event, data }) => [id, ['event', event, ...Object.entries(data).flat().map(String)]])
}

/** The ids of the events that have been read of late. */
class Seen {
  readonly #times = new Map<number, number>()
  #oldest: number | undefined
  #newest = 0

  /** Behind this one, nothing is looked for any more. */
  get oldest (): number {
    return this.#oldest as number
  }

  get newest (): number {
    return this.#newest
  }

  begin (id: number): void {
    if (this.#oldest !== undefined) return
    this.#oldest = this.#newest = id
  }

  has (id: number): boolean {
    return this.#times.has(id)
  }

  add (ids: readonly number[]): void {
    const now = Date.now()
    for (const id of ids) {
      this.#times.set(id, now)
      this.#newest = Math.max(this.#newest, id)
    }
    for (const [id, time] of this.#times) {
      if (now - time < WINDOW) return
      this.#times.delete(id)
      this.#oldest = Math.max(this.oldest, id)
    }
  }
}
