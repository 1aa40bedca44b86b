import type { PgPool, RedisOptions } from 'bullmq'
import { aBoolean, anObject, aName, assertOption, assertOptions, integer, MAX_TIMER_DELAY, milliseconds, type Check } from '../checks'
import { describe } from '../describe'
import { FST_ERR_BACKGROUND_INVALID_OPTION } from '../errors'

const DEFAULT_CONCURRENCY = 10
const DEFAULT_LOCK_DURATION = 5_000
const DEFAULT_TIMEOUT = 1_000
const DEFAULT_KEEP_COMPLETED = { count: 1_000, age: 3_600_000 }
const DEFAULT_KEEP_FAILED = { count: 1_000, age: 604_800_000 }
// Below it, a worker that is merely busy is taken for dead.
const MIN_LOCK_DURATION = 100
const MAX_PORT = 65_535

/** How many finished tasks are kept, and for how long. Tasks that no longer fit go when another one finishes. */
export interface Keep {
  /** An integer of at least 0, or `Infinity`. @default 1_000 */
  count?: number
  /** In milliseconds, to the next second: an integer of at least 0, or `Infinity`. */
  age?: number
}

export interface BullmqOptions {
  /**
   * The name of the queue: a string that is not empty, without `:`. Processes with the same one share their tasks; two
   * applications on one server need two.
   */
  queue: string
  /**
   * Where the server is. A `redis://` or `rediss://` URL, or options of ioredis but for `keyPrefix`: Redis. A `postgres://` or
   * `postgresql://` URL, or a `pg.Pool`: PostgreSQL, in the schema `bullmq`. A pool is not closed with the engine, must
   * have that schema as its `search_path` (`new Pool({ options: '-c search_path=bullmq' })`), and three connections
   * more than queries are to run at once. It should have `keepAlive`, `keepAliveInitialDelayMillis` and `query_timeout`,
   * or connections that are lost without a word are waited for.
   */
  connection: string | RedisOptions | PgPool
  /** Redis: what all keys start with, a string that is not empty. @default 'bull' */
  prefix?: string
  /** How many tasks this process takes at once: an integer from 1 to 10 000. @default 10 */
  concurrency?: number
  /**
   * How long a process may be silent before its tasks are given to others, in milliseconds: an integer from 100 to
   * 2 147 483 647. Tasks of a process that has died start again after this time and a fifth of it, at most two fifths.
   * A process whose event loop is blocked for longer is taken for dead as well, and its tasks run twice.
   * @default 5_000
   */
  lockDuration?: number
  /** How many completed tasks are kept. @default { count: 1_000, age: 3_600_000 }: an hour */
  keepCompleted?: Keep
  /** How many failed and cancelled tasks are kept. @default { count: 1_000, age: 604_800_000 }: a week */
  keepFailed?: Keep
  /**
   * How long the server may take to answer a call, in milliseconds: an integer from 1 to 2 147 483 647. What was asked
   * for may still happen later. After ten times that without a word, a connection is given up. A start of the application
   * waits 2 000 at most, and goes on.
   * @default 1_000
   */
  timeout?: number
  /**
   * PostgreSQL: whether BullMQ's tables are made, or brought up to date, when the engine opens. Without it, they must
   * have been, by BullMQ's `runMigrations`.
   * @default false
   */
  migrate?: boolean
}

export interface ResolvedOptions {
  readonly queue: string
  readonly connection: Connection
  readonly prefix: string | undefined
  readonly concurrency: number
  readonly lockDuration: number
  readonly keepCompleted: Required<Keep>
  readonly keepFailed: Required<Keep>
  readonly timeout: number
  readonly migrate: boolean
}

export type Connection =
  | { readonly server: 'redis', readonly options: RedisOptions }
  | { readonly server: 'postgres', readonly pool: PgPool | undefined, readonly url: string }

const aQueueName: Check = ['a string that is not empty, without ":"',
  (value) => typeof value === 'string' && /^[^:]+$/.test(value)]
const countOrAge: Check = ['an integer of at least 0, or Infinity',
  (value) => value === Infinity || (Number.isSafeInteger(value) && (value as number) >= 0)]
const anything: Check = ['anything', () => true]

/** @throws `FST_ERR_BACKGROUND_INVALID_OPTION` */
export function resolveOptions (given: BullmqOptions): ResolvedOptions {
  assertOptions<BullmqOptions>(given, {
    queue: aQueueName,
    connection: anything,
    prefix: aName,
    concurrency: integer(10_000, 'an integer', 1),
    lockDuration: milliseconds(MAX_TIMER_DELAY, MIN_LOCK_DURATION),
    keepCompleted: anObject,
    keepFailed: anObject,
    timeout: milliseconds(MAX_TIMER_DELAY, 1),
    migrate: aBoolean
  })
  assertOption('queue', given.queue, aQueueName)
  const connection = resolveConnection(given.connection)
  if (connection.server === 'redis' && given.migrate === true) {
    throw new FST_ERR_BACKGROUND_INVALID_OPTION('migrate', 'a connection to PostgreSQL', 'one to Redis')
  }
  if (connection.server === 'postgres' && given.prefix !== undefined) {
    throw new FST_ERR_BACKGROUND_INVALID_OPTION('prefix', 'a connection to Redis', 'one to PostgreSQL')
  }
  return Object.freeze({
    queue: given.queue,
    connection,
    prefix: given.prefix,
    concurrency: given.concurrency ?? DEFAULT_CONCURRENCY,
    lockDuration: given.lockDuration ?? DEFAULT_LOCK_DURATION,
    keepCompleted: resolveKeep(given.keepCompleted, 'keepCompleted', DEFAULT_KEEP_COMPLETED),
    keepFailed: resolveKeep(given.keepFailed, 'keepFailed', DEFAULT_KEEP_FAILED),
    timeout: given.timeout ?? DEFAULT_TIMEOUT,
    migrate: given.migrate ?? false
  })
}

function resolveConnection (given: unknown): Connection {
  if (typeof given === 'string') {
    if (/^rediss?:\/\//.test(given)) return { server: 'redis', options: checked({ url: given }) }
    if (/^postgres(ql)?:\/\//.test(given)) {
      // As pg does, which takes one without a host for a socket.
      assertReadable(URL.canParse(given.replace('@/', '@socket/')))
      return { server: 'postgres', pool: undefined, url: given }
    }
  } else if (hasMethods(given, 'connect', 'query', 'end')) {
    return { server: 'postgres', pool: given as PgPool, url: '' }
  } else if (anObject[1](given) && !hasMethods(given, 'connect', 'disconnect', 'duplicate')) {
    return { server: 'redis', options: checked(given as RedisOptions) }
  }
  throw new FST_ERR_BACKGROUND_INVALID_OPTION('connection',
    'a redis:// or postgres:// URL, options of ioredis (not a client), or a pg.Pool', unsecret(given))
}

/** What ioredis would stumble over at each connection, long after the start. */
function checked (options: RedisOptions & { url?: string }): RedisOptions {
  const { url, port, db, keyPrefix } = options
  assertReadable(isPort(port) && isMissingOrDigits(db) && (url === undefined || isRedisUrl(url)))
  if (keyPrefix !== undefined && keyPrefix !== '') {
    throw new FST_ERR_BACKGROUND_INVALID_OPTION('connection', 'no keyPrefix, which BullMQ cannot do with: "prefix" is the option for it', describe(keyPrefix))
  }
  return options
}

function assertReadable (isReadable: boolean): void {
  // Not what was given: there may be a password in it.
  if (!isReadable) throw new FST_ERR_BACKGROUND_INVALID_OPTION('connection', 'a URL or options with a host, port, credentials and database that can be read', 'others')
}

function isRedisUrl (text: string): boolean {
  try {
    const { username, password, pathname, searchParams } = new URL(text)
    decodeURIComponent(`${username}:${password}`)
    return isMissingOrDigits(pathname.slice(1) || undefined) && !searchParams.has('keyPrefix')
  } catch {
    return false
  }
}

function isPort (port: unknown): boolean {
  return isMissingOrDigits(port) && Number(port ?? 0) <= MAX_PORT
}

function isMissingOrDigits (value: unknown): boolean {
  return value === undefined || /^\d+$/.test(String(value))
}

/** A URL may hold a password, and the error is going to be logged. */
function unsecret (given: unknown): string {
  return typeof given === 'string' ? 'another string' : describe(given)
}

function hasMethods (given: unknown, ...names: string[]): boolean {
  return typeof given === 'object' && given !== null &&
    names.every((name) => typeof (given as Record<string, unknown>)[name] === 'function')
}

function resolveKeep (given: Keep | undefined, name: string, defaults: Required<Keep>): Required<Keep> {
  if (given === undefined) return defaults
  assertOptions<Keep>(given, { count: countOrAge, age: countOrAge }, [], `${name}.`)
  return Object.freeze({ count: given.count ?? defaults.count, age: given.age ?? defaults.age })
}
