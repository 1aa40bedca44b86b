// The one application of the fleet: a web process only stores, a worker only works.
import Fastify, { type FastifyInstance } from 'fastify'
import backgroundPlugin, { defineTask, type TaskContext } from 'fastify-background'
import { bullmq } from 'fastify-background/bullmq'
import { setTimeout as sleep } from 'node:timers/promises'

export const QUEUE = 'fleet'
const WORK_MS = 150

export interface FleetOptions {
  redis: string
  worker: boolean
}

/** Resizes an image, as far as one can tell from outside. It is told to stop when its process closes. */
const resize = defineTask(async function (this: TaskContext, file: string): Promise<string> {
  this.log.info({ file }, 'started')
  await sleep(WORK_MS, undefined, { signal: this.signal })
  this.log.info('done')
  return `small-${file}`
}, { name: 'resize', durable: true, retries: 2 })

export async function createFleetApp ({ redis, worker }: FleetOptions): Promise<FastifyInstance> {
  const app = Fastify({ logger: true })
  await app.register(backgroundPlugin, {
    // A worker that has died is missed after a second or so. In production rather a few more.
    engine: bullmq({ queue: QUEUE, connection: redis, concurrency: 1, lockDuration: 1_000 }),
    tasks: [resize],
    worker
  })

  app.post<{ Body: { file: string } }>('/images', async (request, reply) => {
    const run = reply.background.addTask(resize, request.body.file)
    return reply.code(202).send({ id: run.id })
  })

  // Asks Redis: the task may be at work anywhere.
  app.get<{ Params: { id: string } }>('/images/:id', async (request, reply) => {
    const found = await app.background.find(request.params.id)
    if (found === undefined) return reply.code(404).send({ message: 'there is no such image' })
    return { state: found.state, attempt: found.attempt, result: found.result }
  })

  return app
}
