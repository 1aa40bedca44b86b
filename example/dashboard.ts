// A server with a dashboard, and tasks that give it something to show. Run it, after npm run build:
// npx tsx example/dashboard.ts
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import basicAuth from '@fastify/basic-auth'
import closeWithGrace from 'close-with-grace'
import Fastify, { type FastifyInstance } from 'fastify'
import backgroundPlugin, { defineTask, type TaskContext } from 'fastify-background'
import dashboard from 'fastify-background/dashboard'
import { journal } from 'fastify-background/journal'

const CLOSE_TIMEOUT = 5_000
const EVERY_MS = 700
const STEPS = 20
const STEP_MS = 300
const FAILS = 0.4

export interface DashboardOptions {
  location: string
  password: string
}

export async function createDashboardApp ({ location, password }: DashboardOptions): Promise<FastifyInstance> {
  const app = Fastify()

  // Stored, so it can be started again by a button.
  const sendEmail = defineTask(async function (this: TaskContext, to: string): Promise<void> {
    await sleep(STEP_MS, undefined, { signal: this.signal })
    if (Math.random() < FAILS) throw new Error(`the mail server refuses ${to}`)
  }, { name: 'send-email', durable: true, retries: 1 })

  // Says how far it has come, and ends when it is cancelled.
  async function buildReport (this: TaskContext): Promise<void> {
    for (let step = 0; step < STEPS; step++) {
      this.progress({ value: step / STEPS, message: `page ${step + 1} of ${STEPS}` })
      await sleep(STEP_MS, undefined, { signal: this.signal })
    }
  }

  await app.register(backgroundPlugin, { engine: journal({ location }), tasks: [sendEmail], closeTimeout: CLOSE_TIMEOUT })
  await app.register(basicAuth, {
    authenticate: { realm: 'background tasks' },
    async validate (username, given) {
      if (username !== 'ada' || given !== password) throw new Error('Unauthorized')
    }
  })
  await app.register(dashboard, { onRequest: app.basicAuth, showArguments: true })

  app.post('/reports', async (_request, reply) => {
    reply.background.addTask(buildReport)
    reply.background.addTask(sendEmail, 'ada@example.com')
    return reply.code(202).send({ accepted: true })
  })

  return app
}

async function main (): Promise<void> {
  const location = await mkdtemp(join(tmpdir(), 'background-'))
  const password = randomUUID()
  const app = await createDashboardApp({ location, password })
  const url = await app.listen({ port: Number(process.env.PORT ?? 0), host: '127.0.0.1' })

  const timer = setInterval(() => { fetch(`${url}/reports`, { method: 'POST' }).catch(() => {}) }, EVERY_MS)
  closeWithGrace({ delay: CLOSE_TIMEOUT + 5_000 }, async () => {
    clearInterval(timer)
    await app.close()
    await rm(location, { recursive: true })
  })
  console.log(`The dashboard is at ${url}/background/ (Ctrl-C to close)\n   name ada, password ${password}`)
}

if (require.main === module) main()
