// @bull-board/fastify beside the fleet: it shows the queue, since that is one of BullMQ.
// REDIS_URL=redis://… PORT=3001 npx tsx example/fleet/board.ts
import { createBullBoard } from '@bull-board/api'
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter'
import { FastifyAdapter } from '@bull-board/fastify'
import { Queue } from 'bullmq'
import closeWithGrace from 'close-with-grace'
import Fastify from 'fastify'
import { QUEUE } from './app'

async function main (): Promise<void> {
  const app = Fastify()
  const queue = new Queue(QUEUE, { connection: { url: process.env.REDIS_URL! } as never })
  const adapter = new FastifyAdapter()
  createBullBoard({ queues: [new BullMQAdapter(queue, { readOnlyMode: true })], serverAdapter: adapter })
  adapter.setBasePath('/board')
  // Behind a login in production: who sees the board sees the arguments of all tasks.
  await app.register(adapter.registerPlugin(), { prefix: '/board' })
  app.addHook('onClose', async () => { await queue.close() })

  closeWithGrace({ delay: 5_000 }, async () => { await app.close() })
  const url = await app.listen({ port: Number(process.env.PORT ?? 0), host: '127.0.0.1' })
  console.log(`${url}/board`)
  process.send?.(`${url}/board`)
}

main()
