import type { BackendFactory, IQueueBackend, IRedisClient, RedisOptions, RedisQueueBackend } from 'bullmq'
import type { FastifyBaseLogger } from 'fastify'
import type { Redis } from 'ioredis'
import { isCancelledReason } from './bullmq-failure'
import type { NewJob } from './bullmq-job'
import { lostAfter, peer, type Bullmq, type Classes, type JobQueue, type Server } from './bullmq-server'
import { ignore } from './quietly'

const MAX_RECONNECT_DELAY = 1_000
// BullMQ waits for a job up to 10 s in one command.
const LONGEST_WAIT = 12_000
// More are not looked at: every look at the counts would pay for them.
const MAX_INSPECTED = 1_000
// What Redis says to those it does not let in, and BullMQ to a Redis that is too old.
const REFUSAL = /^(WRONGPASS|NOAUTH|NOPERM|ERR (invalid password|invalid DB index|DB index)|Redis version needs)/i

/** @throws `FST_ERR_BACKGROUND_INVALID_OPTION` where a package is missing. */
export function redisServer (options: RedisOptions, prefix: string | undefined, timeout: number): Server {
  const bullmq = peer<Bullmq>('bullmq', () => require('bullmq'))
  // BullMQ takes it by itself, but when it does not find it, nobody would be told before the first task.
  peer('ioredis', () => require('ioredis'))
  const common: RedisOptions = {
    ...options,
    // BullMQ's own goes up to 20 s, ioredis' may end.
    retryStrategy: reconnectDelay,
    // With it, one attempt at the wrong moment would be the last.
    lazyConnect: false,
    connectTimeout: options.connectTimeout ?? timeout,
    // How long a connection may take to close.
    disconnectTimeout: timeout
  }
  const keys = prefix === undefined ? {} : { prefix }
  return {
    bullmq,
    classes: bullmq.withBackend(bullmq.createRedisBackend as BackendFactory<IQueueBackend, unknown>) as Classes,
    // Without an offline queue, since what is in it runs later, when nobody waits for it any more; and with a time-out
    // for commands, since a frozen server takes them and does not answer. A connection that is silent for long is given
    // up: nobody may be at its other end any more, and no word of that has come.
    producer: {
      ...keys,
      connection: { ...common, enableOfflineQueue: false, maxRetriesPerRequest: 1, commandTimeout: timeout, socketTimeout: lostAfter(timeout) }
    },
    consumer: {
      ...keys,
      connection: {
        ...common,
        enableOfflineQueue: true,
        maxRetriesPerRequest: null,
        commandTimeout: undefined,
        socketTimeout: Math.max(LONGEST_WAIT, lostAfter(timeout))
      }
    },
    add: (queue, jobs) => add(bullmq, queue, jobs),
    keeps: () => true,
    // ioredis goes on trying, as long as it takes.
    reach: async () => {},
    refuses: () => false,
    isConflict: () => false,
    isSetUpWrongly: (error) => REFUSAL.test((error as Error).message),
    inspect,
    countCancelled,
    lastEvent,
    release,
    async close () {}
  }
}

function reconnectDelay (times: number): number {
  return Math.min(50 * 2 ** Math.min(times, 10), MAX_RECONNECT_DELAY)
}

/** As a flow without parents, which BullMQ adds by MULTI: what it adds in bulk, it adds one by one. */
async function add ({ Job }: Bullmq, queue: JobQueue, jobs: readonly NewJob[]): Promise<void> {
  const entries = jobs.map(({ name, data, opts }) => new Job(queue as never, name, data, opts, opts.jobId).toFlowEntry())
  for (const [error] of await queue.getBackend().addFlow(entries)) {
    if (error !== null) throw error
  }
}

async function inspect (queue: JobQueue, log: FastifyBaseLogger): Promise<void> {
  // Not CONFIG GET, which hosted servers forbid. BullMQ needs INFO anyway.
  const info = await (await clientOf(queue)).info()
  if (/^aof_enabled:0/m.test(info)) {
    log.warn('bullmq: Redis has no append-only file (appendonly no), it loses tasks when it is killed')
  }
  const evicting = /^maxmemory_policy:(?!noeviction)([\w-]+)/m.exec(info)
  if (evicting !== null) {
    log.warn(`bullmq: Redis drops tasks when its memory is full (maxmemory-policy ${evicting[1]}), it should be noeviction`)
  }
}

async function countCancelled (queue: JobQueue): Promise<number> {
  const client = await clientOf(queue)
  const ids = await queue.getRanges(['failed'], 0, MAX_INSPECTED - 1)
  const reasons = await Promise.all(ids.map((id) => client.hget(queue.toKey(id), 'failedReason')))
  return reasons.filter(isCancelledReason).length
}

async function lastEvent (queue: JobQueue): Promise<string> {
  const client = await clientOf(queue) as unknown as Pick<Redis, 'xrevrange'>
  const events = await client.xrevrange(queue.keys.events as string, '+', '-', 'COUNT', 1)
  return events.length === 0 ? '0' : events[0][0]
}

async function release (backend: IQueueBackend): Promise<void> {
  const { client, blockingClient } = backend as RedisQueueBackend
  // BullMQ connects again what it has been waiting for in vain, even after it has been closed.
  client.then(forbidConnect, ignore)
  blockingClient?.then(forbidConnect, ignore)
  await backend.close(true)
}

function forbidConnect (client: IRedisClient): void {
  client.connect = Promise.reject.bind(Promise, new Error('Connection is closed.')) as () => Promise<never>
}

function clientOf (queue: JobQueue): RedisQueueBackend['client'] {
  return (queue.getBackend() as unknown as RedisQueueBackend).client
}
