// A worker process: the same application, which does not listen. REDIS_URL=redis://… npx tsx example/fleet/worker.ts
import closeWithGrace from 'close-with-grace'
import { createFleetApp } from './app'

async function main (): Promise<void> {
  const app = await createFleetApp({ redis: process.env.REDIS_URL!, worker: true })
  closeWithGrace({ delay: 15_000 }, async () => { await app.close() })
  await app.ready()
  process.send?.('ready')
}

main()
