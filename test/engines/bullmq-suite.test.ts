import { randomUUID } from 'node:crypto'
import t from 'tap'
import { bullmq } from '../../lib/engines/bullmq'
import type { Engine } from '../../lib/engines/engine'
import { startProxy, type Proxy } from '../helpers/proxy'
import { needsRedis, startRedis } from '../helpers/redis'
import { engineSuite } from './suite'

// Real servers, on a machine that may have other things to do.
t.setTimeout(180_000)

const test = needsRedis()

test('what every engine has to do, with BullMQ on Redis', async (t) => {
  const redis = await startRedis(t)

  engineSuite(t, 'bullmq', async (t) => {
    const queue = randomUUID()
    const ways = new Map<Engine, Proxy>()
    const proxies: Proxy[] = []
    for (let i = 0; i < 5; i++) proxies.push(await startProxy(t, redis.port))
    const crashed: Engine[] = []
    t.teardown(async () => { for (const engine of crashed) await engine.close() })
    return {
      engine ({ concurrency = 1 } = {}) {
        const proxy = proxies.shift() as Proxy
        const engine = bullmq({ queue, connection: { host: '127.0.0.1', port: proxy.port }, concurrency, lockDuration: 500, timeout: 500 })
        ways.set(engine, proxy)
        return engine
      },
      async crash (engine) {
        ways.get(engine)?.cut()
        crashed.push(engine)
      }
    }
  })
})
