import type { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import type { BackendFactory, IQueueBackend, PgPool, PgPoolClient } from 'bullmq'
import { within } from './deadline'
import { CANCELLED } from './bullmq-failure'
import { openPool } from './bullmq-postgres-pool'
import { peer, type Bullmq, type Classes, type JobQueue, type Server } from './bullmq-server'
import { readLateEvents } from './bullmq-late-events'
import { ignore } from './quietly'

// Password, role, database, privilege: https://www.postgresql.org/docs/current/errcodes-appendix.html
const REFUSALS = ['28P01', '28000', '3D000', '42501']
// Another transaction was in the way: to be tried again at once.
const CONFLICTS = ['40001', '40P01']
// Data that it cannot keep, and what is beyond its limits.
const REFUSED_DATA = /^(22|54)/
// JSON that jsonb does not take: U+0000, and half of a surrogate pair
// (https://www.postgresql.org/docs/current/datatype-json.html).
const UNKEPT = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/
const UNFIT = ['UnfitError', 'SchemaVersionMismatchError', 'UnsupportedPostgresVersionError']

type Listener = (error: Error) => void

export interface PostgresOptions {
  /** Somebody else's. */
  readonly pool: PgPool | undefined
  readonly url: string
  readonly migrate: boolean
  readonly timeout: number
}

/** @throws `FST_ERR_BACKGROUND_INVALID_OPTION` where a package is missing. */
export function postgresServer ({ pool: given, url, migrate, timeout }: PostgresOptions): Server {
  const bullmq = peer<Bullmq>('bullmq', () => require('bullmq'))
  const sockets = new Set<Socket>()
  const pool = given ?? openPool(url, bullmq.DEFAULT_SCHEMA, timeout)
  const events = pool as unknown as EventEmitter
  events.on('connect', (client) => sockets.add(socketOf(client)))
  events.on('remove', (client) => sockets.delete(socketOf(client)))
  // A pool without a listener takes the process down when the server closes an idle connection.
  events.on('error', ignore)
  let isReady = false
  const listeners = new WeakMap<IQueueBackend, Listener[]>()
  const createBackend: BackendFactory<IQueueBackend, unknown> = (name, options, kind) => {
    const before = events.listeners('error')
    const backend = bullmq.createPostgresBackend(name, options as never, kind)
    listeners.set(backend, events.listeners('error').filter((listener) => !before.includes(listener)) as Listener[])
    return readLateEvents(backend, pool, name)
  }
  return {
    bullmq,
    classes: bullmq.withBackend(createBackend) as Classes,
    producer: { connection: pool },
    consumer: { connection: pool },
    async add (queue, jobs) {
      await queue.addBulk([...jobs])
    },
    keeps: (json) => !UNKEPT.test(json),
    refuses: (error) => REFUSED_DATA.test(String((error as { code?: unknown }).code)),
    // BullMQ asks once, and if that fails, its object is of no use for ever.
    async reach () {
      if (isReady) return
      const client = await pool.connect()
      try {
        if (migrate) await bullmq.runMigrations(client)
        else await assertMigrated(bullmq, client)
        await assertSearchPath(client, bullmq.DEFAULT_SCHEMA)
        isReady = true
      } finally {
        client.release()
      }
    },
    isConflict: (error) => CONFLICTS.includes((error as { code: string }).code),
    isSetUpWrongly: (error) => REFUSALS.includes((error as { code: string }).code) || UNFIT.includes((error as Error).name),
    async inspect () {},
    async countCancelled (queue: JobQueue) {
      const { rows } = await pool.query<{ count: string }>(
        'SELECT count(*) FROM job WHERE queue = $1 AND state = \'failed\' AND starts_with(failed_reason, $2)',
        [queue.name, CANCELLED])
      return Number(rows[0]?.count)
    },
    async lastEvent (queue) {
      const { rows } = await pool.query<{ last: string }>('SELECT coalesce(max(id), 0) AS last FROM event WHERE queue = $1', [queue.name])
      return String(rows[0]?.last)
    },
    async release (backend) {
      // BullMQ leaves them, and with them all that they hold.
      for (const listener of listeners.get(backend) as Listener[]) events.off('error', listener)
      await backend.close(true)
    },
    async close () {
      if (given !== undefined) return
      try {
        await within(timeout, 'close', () => pool.end())
      } catch {
        for (const socket of sockets) socket.destroy()
      }
    }
  }
}

async function assertMigrated ({ assertSchemaCompatibility }: Bullmq, client: PgPoolClient): Promise<void> {
  try {
    await assertSchemaCompatibility(client)
  } catch (error) {
    if ((error as Error).name !== 'SchemaMigrationRequiredError') throw error
    // BullMQ would name an option of its own.
    throw new UnfitError('BullMQ\'s tables are not there, or not up to date: "migrate: true" makes them')
  }
}

/** BullMQ's own check goes by the name of the schema, all else by the search path: somebody else's pool may have another. */
async function assertSearchPath (client: PgPoolClient, schema: string): Promise<void> {
  const { rows } = await client.query<{ found: boolean }>('SELECT to_regclass(\'job\') IS NOT NULL AS found')
  if (rows[0]?.found !== true) throw new UnfitError(`the pool needs the search_path ${schema}: new Pool({ options: '-c search_path=${schema}' })`)
}

class UnfitError extends Error {
  override readonly name = 'UnfitError'
}

function socketOf ({ connection }: PgPoolClient): Socket {
  return connection?.stream as Socket
}
