// With an engine: for what is left of tasks when the process is killed.
import closeWithGrace from 'close-with-grace'
import Fastify from 'fastify'
import background, { defineTask } from 'fastify-background'
import { journal } from 'fastify-background/journal'
import process from 'node:process'
import { accept, port, recordLate, report } from './counts.mjs'

const recorded = defineTask(recordLate, { name: 'record-late', durable: true })

const app = Fastify()
closeWithGrace({ delay: 30_000 }, () => app.close())
await app.register(background, { engine: journal({ location: process.env.BENCH_JOURNAL, concurrency: 1_000 }), tasks: [recorded] })
app.get('/report', async () => report())
app.get('/late', async (request, reply) => {
  reply.background.addTask(recorded)
  accept()
  return { hello: 'world' }
})
await app.listen({ port, host: '127.0.0.1' })
