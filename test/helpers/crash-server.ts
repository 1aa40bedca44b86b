// A server that is there to be killed: `crash-server.ts ENGINE FILE PLACE`. Each task appends its number to the file. It
// says its address; told to, it finishes what it has, and closes.
import { appendFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import Fastify from 'fastify'
import { bullmq } from '../../lib/engines/bullmq'
import type { Engine } from '../../lib/engines/engine'
import { journal } from '../../lib/engines/journal'
import background from '../../lib/index'

const [engineName, file, place] = process.argv.slice(2)
const TASK_MS = 3
// A machine that has other things to do is not to look like a server that is away.
const TIMEOUT_MS = 10_000
const UNFINISHED = ['queued', 'active', 'retrying'] as const

const write = background.defineTask(async (number: string) => {
  await appendFile(file, `${number}\n`)
  // In mid-task for a while: what is written is not all of it.
  await sleep(TASK_MS)
}, { name: 'write', durable: true })

function createEngine (): Engine {
  return engineName === 'journal'
    ? journal({ location: place })
    : bullmq({ queue: 'crash', connection: place, lockDuration: 500, timeout: TIMEOUT_MS })
}

// A file that gets longer than it may is an error, not the end.
process.on('SIGXFSZ', () => {})

async function main (): Promise<void> {
  const app = Fastify()
  const engine = createEngine()
  await app.register(background, { engine, tasks: [write], maxRestarts: 1_000, storeTimeout: TIMEOUT_MS })
  app.get<{ Params: { number: string } }>('/tasks/:number', async (request, reply) => {
    reply.background.addTask(write, request.params.number)
    return 'accepted'
  })
  app.get<{ Params: { number: string } }>('/failures/:number', async (request, reply) => {
    // Fails before it is stored.
    reply.background.addTask(background.defineTask((number: string) => appendFile(file, `${number}\n`), { name: 'write', durable: true, when: 'success' }), request.params.number)
    throw new Error('broken')
  })
  process.on('message', () => {
    finish().then(() => process.disconnect(), (error) => { throw error })
  })
  process.send!(await app.listen({ port: 0, host: '127.0.0.1' }))

  async function finish (): Promise<void> {
    for (;;) {
      const counts = await engine.counts()
      if (UNFINISHED.every((state) => counts[state] === 0)) break
      await sleep(20)
    }
    await app.close()
  }
}

main()
