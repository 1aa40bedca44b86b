// A process with a worker, for bullmq-kill.test.ts: says that it is ready, begins when it is told to, by a line, and says
// each start and each end, all on its standard output.
import { once } from 'node:events'
import { writeSync } from 'node:fs'
import Fastify from 'fastify'
import { bullmq } from '../../lib/engines/bullmq'

const [, , queue, url, duration] = process.argv as string[]

// Node keeps what a reader has no room for yet, and loses it when the process is killed.
function say (...words: unknown[]): void {
  writeSync(1, `${words.join(' ')}\n`)
}

async function main (): Promise<void> {
  const engine = bullmq({ queue: queue as string, connection: url as string, lockDuration: 5_000, keepCompleted: { count: Infinity } })
  await engine.open(Fastify().log)
  say('ready')
  await once(process.stdin, 'data')
  await engine.work({
    concurrency: Infinity,
    async run ({ task, attempt, restarts }) {
      say('start', task.id, attempt, restarts)
      await new Promise((resolve) => setTimeout(resolve, Number(duration)))
      say('end', task.id)
      return { state: 'completed', result: undefined }
    },
    cancel: () => false
  })
}

main().catch((error) => { throw error })
