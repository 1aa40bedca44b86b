import type * as Pg from 'pg'
import type { PgPool } from 'bullmq'
import { lostAfter, peer } from './bullmq-server'
import { ignore } from './quietly'

// When a silent connection is asked whether it still is one. 2 h by default.
const KEEP_ALIVE_DELAY = 10_000
// pg goes by this message alone.
const NO_ANSWER = 'Query read timeout'

/** A pool whose connections are given up where the server has not answered for long. */
export function openPool (url: string, schema: string, timeout: number): PgPool {
  const { Client, Pool } = peer<typeof Pg>('pg', () => require('pg'))

  // Behind a question without an answer, pg has all others wait. A pool takes such a connection out, where it was the one
  // to ask; the one that BullMQ waits for tasks on would be asked again for ever.
  class ImpatientClient extends Client {
    constructor (config?: string | Pg.ClientConfig) {
      super(config)
      // Whoever has asked is told. Without a listener, a connection that ends takes the process down.
      this.on('error', ignore)
    }

    override query (...args: unknown[]): never {
      const answer: unknown = Reflect.apply(super.query, this, args)
      if (answer instanceof Promise) {
        answer.catch((error: Error) => { if (error.message === NO_ANSWER) this.connection.stream.destroy(error) })
      }
      return answer as never
    }
  }

  return new Pool({
    Client: ImpatientClient,
    connectionString: url,
    options: `-c search_path=${schema}`,
    connectionTimeoutMillis: timeout,
    query_timeout: lostAfter(timeout),
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_DELAY
  }) as unknown as PgPool
}
