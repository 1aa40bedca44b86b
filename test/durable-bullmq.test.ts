// Applications over a real Redis.
import { randomUUID } from 'node:crypto'
import t, { type Test } from 'tap'
import { Queue } from 'bullmq'
import type { FastifyInstance } from 'fastify'
import background from '../lib/index'
import { bullmq } from '../lib/engines/bullmq'
import { createApp } from './helpers/app'
import { durable } from './helpers/durable'
import { latch, turn, until } from './helpers/latch'
import { never } from './helpers/policies'
import { needsRedis, startRedis, type RedisServer } from './helpers/redis'

t.setTimeout(180_000)

const test = needsRedis()

// Where the server is there all the time, a machine with other things to do is not to look like one that is away.
const PATIENT = { timeout: 10_000, lockDuration: 10_000 }
const IMPATIENT = { timeout: 300, lockDuration: 500 }

/** An application with a route that stores a task, and one that does not. */
async function createStoringApp (
  t: Test, redis: RedisServer, task: background.TaskDefinition<[]>, options: background.BackgroundOptions = {}, queue = randomUUID(), times = PATIENT
): Promise<FastifyInstance> {
  const app = await createApp(t, {
    engine: bullmq({ queue, connection: redis.url, ...times }), tasks: [task], storeTimeout: 2 * times.timeout, closeTimeout: 0, ...options
  })
  app.get('/stored', async (_, reply) => {
    reply.background.addTask(task)
    return 'ok'
  })
  app.get('/plain', async () => 'ok')
  await app.ready()
  return app
}

/** Asks until a reply with a durable task is a 200. */
async function works (app: FastifyInstance): Promise<void> {
  // Calls that fail at once leave no turn to the connection.
  while ((await app.inject('/stored')).statusCode !== 200) await turn()
}

const troubles: Array<[what: string, down: (redis: RedisServer) => unknown, up: (redis: RedisServer) => unknown]> = [
  ['is frozen', (redis) => redis.freeze(), (redis) => redis.thaw()],
  ['was killed', (redis) => redis.kill(), (redis) => redis.start()]
]

for (const [what, down, up] of troubles) {
  test(`D1, D7: while Redis ${what}, a reply with a durable task is a 503, others are served, and then all goes on`, async (t) => {
    const redis = await startRedis(t)
    let ran = 0
    const app = await createStoringApp(t, redis, durable('task', () => { ran++ }), {}, randomUUID(), IMPATIENT)
    await works(app)
    await until(() => ran > 0)
    await down(redis)

    const response = await app.inject('/stored')
    t.equal(response.statusCode, 503)
    t.match(response.json(), { code: 'FST_ERR_BACKGROUND_STORE_FAILED' })
    t.equal((await app.inject('/plain')).statusCode, 200)
    await t.rejects(app.background.find('an-id'))

    await up(redis)
    const before = ran
    await works(app)
    await until(() => ran > before)
  })
}

test('D7: an application starts without its Redis, and works when that is there', async (t) => {
  const redis = await startRedis(t)
  await redis.kill()
  let ran = 0
  const app = await createStoringApp(t, redis, durable('task', () => { ran++ }), {}, randomUUID(), IMPATIENT)
  t.equal((await app.inject('/stored')).statusCode, 503)
  t.equal((await app.inject('/plain')).statusCode, 200)
  await redis.start()
  await works(app)
  await until(() => ran > 0)
})

test('D4: a job that was written by hand and would poison prototypes fails, and the next one runs', async (t) => {
  const redis = await startRedis(t)
  const name = randomUUID()
  const queue = new Queue(name, { connection: { port: redis.port } })
  t.teardown(() => queue.close())
  const calls: unknown[] = []
  const errors: unknown[] = []
  const done = latch()
  const task = durable('task', (arg: unknown) => {
    calls.push(arg)
    done.open()
  })
  await createStoringApp(t, redis, task as never, { onTaskError: (error) => { errors.push(error) } }, name)
  for (const arg of [JSON.parse('{"a":[{"__proto__":{"x":1}}]}'), { constructor: { prototype: {} } }, 'fine']) await queue.add('task', { args: [arg] })
  await done
  await until(() => errors.length === 2)

  t.strictSame(calls, ['fine'])
  t.match(errors, [{ message: /args\[0\]\.a\[0\]\.__proto__/ }, { message: /args\[0\]\.constructor/ }])
})

test('D5: a task that is at work at shutdown is handed back, and run by another process, in the same attempt', async (t) => {
  const redis = await startRedis(t)
  const queue = randomUUID()
  const attempts: Array<[where: string, id: string, attempt: number]> = []
  const taskOf = (where: string, work: () => unknown): background.TaskDefinition<[]> => durable('task', function () {
    attempts.push([where, this.id, this.attempt])
    return work()
  })
  const first = await createStoringApp(t, redis, taskOf('first', never), {}, queue)
  t.equal((await first.inject('/stored')).statusCode, 200)
  await until(() => attempts.length === 1)
  await first.close()
  const done = latch()
  await createStoringApp(t, redis, taskOf('second', done.open), {}, queue)
  await done

  const [[, id]] = attempts
  t.strictSame(attempts, [['first', id, 1], ['second', id, 1]])
})

test('D2: a web process that only stores, and a worker: the one finds and cancels what the other is at', async (t) => {
  const redis = await startRedis(t)
  const queue = randomUUID()
  const began = latch<string>()
  let reason: unknown
  const task = durable('task', function () {
    began.open(this.id)
    this.signal.addEventListener('abort', () => { reason = this.signal.reason })
    return never()
  })
  const web = await createStoringApp(t, redis, task, { worker: false }, queue)
  const worker = await createStoringApp(t, redis, task, {}, queue)
  t.equal((await web.inject('/stored')).statusCode, 200)
  const id = await began

  t.match(await web.background.find(id), { id, name: 'task', state: 'active', attempt: 1 })
  t.ok(await web.background.cancel(id))
  await worker.background.idle()
  t.ok(reason)
  let found
  do {
    found = await web.background.find(id)
    await turn()
  } while (found?.state === 'active')
  t.match(found, { state: 'cancelled' })
  t.notOk(await web.background.cancel(id))
})
