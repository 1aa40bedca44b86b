import underPressure from '@fastify/under-pressure'
import type { FastifyInstance } from 'fastify'
import { listen } from '../helpers/app'
import { beside } from '../helpers/beside'
import { counts } from '../helpers/counts'
import { until } from '../helpers/latch'
import { occupy } from '../helpers/limited'

// Not healthy while the queue is nearly full, as docs/limits.md has it.
const register = (healthCheckInterval: number) => (app: FastifyInstance) => app.register(underPressure, {
  healthCheck: async () => !isNearlyFull(app),
  healthCheckInterval,
  retryAfter: 7,
  exposeStatusRoute: '/health'
})
const test = beside('@fastify/under-pressure', register(5))
const testUnchecked = beside('@fastify/under-pressure, between two checks', register(3_600_000))
const options = { background: { maxPending: 3 } }
const noStart = (): never => { throw new Error('a task that is not to start') }

test('L3: a health check can go by the counts, and under pressure neither handler nor task runs', async (t, app) => {
  let handled = 0
  app.get('/', { background: noStart }, async () => { handled++ })
  const { url } = await listen(app)
  t.equal((await fetch(`${url}/health`)).status, 200)

  const open = await occupy(app, 2)
  await until(() => app.isUnderPressure())
  t.equal((await fetch(`${url}/health`)).status, 503)
  const response = await fetch(url)
  t.equal(response.status, 503)
  t.equal(response.headers.get('retry-after'), '7')
  t.match(await response.json(), { code: 'FST_UNDER_PRESSURE' })
  await until(() => app.background.stats().queued === 0)
  t.strictSame(app.background.stats(), counts({ accepted: 3, active: 2, discarded: 1 }))
  t.equal(handled, 0)

  open()
  await app.background.idle()
  await until(() => !app.isUnderPressure())
  t.equal((await fetch(`${url}/health`)).status, 200)
}, options)

testUnchecked('L3: what comes between two health checks is refused at maxPending', async (t, app) => {
  let handled = 0
  app.get('/', { background: noStart }, async () => { handled++ })
  const { url } = await listen(app)
  const open = await occupy(app, 3)
  t.equal(app.isUnderPressure(), false)

  const response = await fetch(url)
  t.equal(response.status, 503)
  t.equal(response.headers.get('retry-after'), '10')
  t.match(await response.json(), { code: 'FST_ERR_BACKGROUND_QUEUE_FULL' })
  t.equal(handled, 0)
  t.strictSame(app.background.stats(), counts({ accepted: 3, active: 3 }))
  open()
}, options)

function isNearlyFull (app: FastifyInstance): boolean {
  if (!app.hasDecorator('background')) return false
  const { queued, active, retrying } = app.background.stats()
  return queued + active + retrying >= 2
}
