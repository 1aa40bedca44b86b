import { randomUUID } from 'node:crypto'
import { Client, Pool } from 'pg'
import t from 'tap'
import { bullmq } from '../../lib/engines/bullmq'
import type { Engine } from '../../lib/engines/engine'
import { needsPostgres, startPostgres } from '../helpers/postgres'
import { startProxy, type Proxy } from '../helpers/proxy'
import { aTask, COMPLETED, eventually, inState, openEngine, TestWorker } from '../helpers/bullmq'
import { latch, until } from '../helpers/latch'
import { unhandledRejections } from '../helpers/unhandled'
import type { Outcome } from '../../lib/engines/engine'
import { engineSuite } from './suite'

// Real servers, on a machine that may have other things to do.
t.setTimeout(180_000)

const test = needsPostgres()

test('what every engine has to do, with BullMQ on PostgreSQL', async (t) => {
  const postgres = await startPostgres(t)
  const { port } = new URL(postgres.url)

  engineSuite(t, 'bullmq', async (t) => {
    const queue = randomUUID()
    const ways = new Map<Engine, Proxy>()
    const proxies: Proxy[] = []
    for (let i = 0; i < 5; i++) proxies.push(await startProxy(t, Number(port)))
    const crashed: Engine[] = []
    t.teardown(async () => { for (const engine of crashed) await engine.close() })
    return {
      engine ({ concurrency = 1 } = {}) {
        const proxy = proxies.shift() as Proxy
        const connection = postgres.url.replace(port, String(proxy.port))
        const engine = bullmq({ queue, connection, concurrency, lockDuration: 500, timeout: 2_000, migrate: true })
        ways.set(engine, proxy)
        return engine
      },
      async crash (engine) {
        ways.get(engine)?.cut()
        crashed.push(engine)
      }
    }
  })

  await t.test('what its JSON cannot hold is kept in arguments, and neither a result nor an error with it does harm', async (t) => {
    const { engine } = await openEngine(t, postgres.url, { migrate: true, timeout: 2_000 })
    const outcomes: Outcome[] = [{ state: 'failed', error: new Error('a\0b\ud800') }, { state: 'completed', result: 'a\ud800' }]
    const worker = new TestWorker(() => outcomes.shift() as Outcome)
    const task = aTask({ args: ['a\0b', '\ud800', '\ud83d\ude00', '\\u0000'] })
    await engine.store([task])
    await engine.work(worker)
    t.match(await inState(engine, task.id, 'failed'), { task, error: { message: 'a\uFFFDb\uFFFD' } })
    t.equal(await engine.retry(task.id), true)
    t.match(await inState(engine, task.id, 'completed'), { task, result: null })
  })

  await t.test('a result with a backslash is kept, and the age of finished tasks need not be whole seconds', async (t) => {
    const { engine } = await openEngine(t, postgres.url, { migrate: true, timeout: 2_000, keepCompleted: { age: 1_500 } })
    const task = aTask()
    await engine.store([task])
    await engine.work(new TestWorker(() => ({ state: 'completed', result: '\\u0000' })))
    t.match(await inState(engine, task.id, 'completed'), { result: '\\u0000' })
  })

  await t.test('changes that are committed behind later ones are told', async (t) => {
    const { engine, queue } = await openEngine(t, postgres.url, { migrate: true, timeout: 2_000 })
    const slow = new Client({ connectionString: postgres.url, options: '-c search_path=bullmq' })
    await slow.connect()
    t.teardown(() => slow.end())
    const told: string[] = []
    t.teardown(engine.watch(({ id }) => told.push(id)))
    await engine.counts()
    await slow.query('BEGIN')
    await slow.query('SELECT publish_event($1, \'active\', \'{"jobId":"slow"}\')', [queue])
    const task = aTask()
    await engine.store([task])
    await until(() => told.includes(task.id))
    await slow.query('COMMIT')
    await until(() => told.includes('slow'))
    t.strictSame(told, [task.id, 'slow'])
  })

  await t.test('D2: many tasks, three workers, few that are kept: each runs once, and its end is told', async (t) => {
    const queue = `queue-${randomUUID()}`
    const options = { queue, migrate: true, timeout: 10_000, lockDuration: 10_000, keepCompleted: { count: 5 }, keepFailed: { count: 5 } }
    const engines: Engine[] = []
    for (let i = 0; i < 3; i++) engines.push((await openEngine(t, postgres.url, options)).engine)
    const tasks = Array.from({ length: 600 }, (_, i) => aTask({ args: [i] }))
    const runs: string[] = []
    const over = new Set<string>()
    engines[0].watch(({ id, state }) => { if (state === 'completed' || state === 'failed') over.add(id) })
    for (const engine of engines) {
      await engine.work(new TestWorker(({ task }) => {
        runs.push(task.id)
        return task.args[0] as number % 3 === 0 ? { state: 'failed', error: new Error('x') } : COMPLETED
      }))
    }
    for (let i = 0; i < tasks.length; i += 50) await engines[i % 3].store(tasks.slice(i, i + 50))
    await until(() => over.size === tasks.length)
    t.equal(runs.length, tasks.length)
    t.equal(new Set(runs).size, tasks.length)
  })

  await t.test('L2: of what has watched, nothing is left with the pool', async (t) => {
    const pool = new Pool({ connectionString: postgres.url, options: '-c search_path=bullmq' })
    t.teardown(() => pool.end())
    const { engine } = await openEngine(t, pool, { timeout: 2_000 })
    await engine.counts()
    const before = pool.listenerCount('error')
    for (let i = 0; i < 3; i++) {
      const told = latch()
      const unwatch = engine.watch(() => told.open())
      await engine.store([aTask()])
      await told
      unwatch()
    }
    await until(() => pool.listenerCount('error') === before)
    await engine.close()
    await until(() => pool.listenerCount('error') === 1)
    t.pass('but what keeps the process alive when a connection ends')
  })

  await t.test('R5: a reason that its JSON cannot hold harms nothing', async (t) => {
    const { engine } = await openEngine(t, postgres.url, { migrate: true, timeout: 2_000 })
    const task = aTask()
    await engine.store([task])
    t.equal(await engine.cancel(task.id, 'a\0b'), true)
    t.match(await engine.find(task.id), { state: 'cancelled', error: { message: 'a\uFFFDb' } })
  })

  await t.test('R2: a connection that ends while an outcome is written does not make a completed task a failed one', async (t) => {
    const { engine } = await openEngine(t, postgres.url, { migrate: true, timeout: 500, lockDuration: 60_000 })
    const admin = new Client({ connectionString: postgres.url, options: '-c search_path=bullmq' })
    await admin.connect()
    t.teardown(() => admin.end())
    const [started, end] = [latch(), latch<Outcome>()]
    const worker = new TestWorker(() => {
      started.open()
      return end
    })
    const task = aTask({ retries: 3 })
    await engine.work(worker)
    await engine.store([task])
    await started
    // Whoever writes to the job waits from here on.
    await admin.query('BEGIN')
    await admin.query('SELECT id FROM job WHERE id = $1 FOR UPDATE', [task.id])
    end.open(COMPLETED)
    const cut = async (): Promise<number> => {
      // Within a transaction, what it has seen of the others stays as it was.
      await admin.query('SELECT pg_stat_clear_snapshot()')
      return (await admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity ' +
        'WHERE wait_event_type = \'Lock\' AND query LIKE \'%move_to_completed%\'')).rowCount ?? 0
    }
    await eventually(cut, (count) => count > 0)
    await admin.query('ROLLBACK')
    t.match(await inState(engine, task.id, 'completed'), { attempt: 1 })
    t.equal(worker.deliveries.length, 1)
  })

  await t.test('D7: connections that are lost without a word are given up, those that wait for tasks too', async (t) => {
    const proxy = await startProxy(t, Number(port))
    const { engine } = await openEngine(t, postgres.url.replace(port, String(proxy.port)), { migrate: true, timeout: 1_000 })
    const last = aTask()
    await engine.work(new TestWorker())
    // As many as the pool takes connections.
    await Promise.all(Array.from({ length: 10 }, () => engine.store([aTask()])))
    await eventually(() => engine.counts(), ({ completed }) => completed === 10)
    proxy.swallow()
    await t.rejects(engine.store([aTask()]), { code: 'ETIMEDOUT' })
    await eventually(() => engine.store([last]).then(() => true, () => false), (stored) => stored)
    await eventually(() => engine.find(last.id).catch(() => undefined), (found) => found?.state === 'completed')
  })

  await t.test('D7: a connection that is lost before it can wait for tasks is given up', async (t) => {
    const proxy = await startProxy(t, Number(port))
    const { engine } = await openEngine(t, postgres.url.replace(port, String(proxy.port)), { migrate: true, timeout: 1_000 })
    const lost = proxy.swallowAt('LISTEN bullmq_jobs')
    await engine.work(new TestWorker())
    await lost
    const task = aTask()
    await engine.store([task])
    await inState(engine, task.id, 'completed')
  })

  await t.test('a database without BullMQ\'s tables, or another password or name, fails at open', async (t) => {
    const bare = postgres.url.replace('/postgres', '/template1')
    await t.rejects(openEngine(t, bare), { code: 'FST_ERR_BACKGROUND_INVALID_OPTION', message: /tables are not there.*"migrate: true" makes them$/ })
    await t.rejects(openEngine(t, postgres.url.replace('/postgres', '/missing')), { code: 'FST_ERR_BACKGROUND_INVALID_OPTION' })
  })

  await t.test('a pool without the search path fails at open, with what to do', async (t) => {
    const pool = new Pool({ connectionString: postgres.url })
    t.teardown(() => pool.end())
    await t.rejects(openEngine(t, pool, { timeout: 2_000 }), { code: 'FST_ERR_BACKGROUND_INVALID_OPTION', message: /needs the search_path bullmq/ })
  })

  await t.test('changes are told from the first on after watch', async (t) => {
    const { engine } = await openEngine(t, postgres.url, { timeout: 2_000 })
    await engine.store([aTask()])
    const task = aTask()
    const told = new Promise((resolve) => { t.teardown(engine.watch(resolve)) })
    await engine.store([task])

    t.match(await told, { id: task.id, state: 'queued' })
  })

  await t.test('R5: a task is cancelled by another process, with a pool of its own', async (t) => {
    const pool = new Pool({ connectionString: postgres.url, options: '-c search_path=bullmq' })
    t.teardown(() => pool.end())
    const { engine, queue } = await openEngine(t, pool, { timeout: 2_000 })
    const other = await openEngine(t, postgres.url, { queue, timeout: 2_000 })
    const started = latch()
    await other.engine.work(new TestWorker(() => {
      started.open()
      return latch<Outcome>()
    }))
    const task = aTask()
    await engine.store([task])
    await started
    t.equal(await engine.cancel(task.id, 'no more'), true)
    t.match(await inState(engine, task.id, 'cancelled'), { error: { message: 'no more' } })
    await eventually(() => engine.counts(), ({ cancelled, failed }) => cancelled === 1 && failed === 0)
  })

  await t.test('D7: a server that is away at open, and goes again in mid-run', async (t) => {
    const unhandled = unhandledRejections(t)
    await postgres.kill()
    const { engine, lines } = await openEngine(t, postgres.url, { timeout: 500, lockDuration: 5_000 })
    const back = (): number => lines.filter(({ msg }) => msg === 'bullmq: the server is back').length
    const started = latch()
    const end = latch<Outcome>()
    await engine.work(new TestWorker(() => {
      started.open()
      return end
    }))
    await t.rejects(engine.store([aTask()]))
    await postgres.start()
    await until(() => back() > 0)
    const task = aTask()
    await eventually(() => engine.store([task]), () => true)
    await started
    const before = back()
    await postgres.kill()
    end.open(COMPLETED)
    await t.rejects(engine.find(task.id))
    await postgres.start()
    await until(() => back() > before)
    await eventually(() => engine.find(task.id), (found) => found?.state === 'completed')
    t.strictSame(unhandled, [])
  })

  await t.test('D7: close does not wait for a server that is frozen', async (t) => {
    const { engine } = await openEngine(t, postgres.url, { timeout: 500 })
    await engine.work(new TestWorker())
    postgres.freeze()
    await engine.close()
    postgres.thaw()
    t.pass('it has closed')
  })
})
