// A web process: it stores, and runs nothing. REDIS_URL=redis://… npx tsx example/fleet/web.ts
import closeWithGrace from 'close-with-grace'
import { createFleetApp } from './app'

async function main (): Promise<void> {
  const app = await createFleetApp({ redis: process.env.REDIS_URL!, worker: false })
  closeWithGrace({ delay: 15_000 }, async () => { await app.close() })
  const url = await app.listen({ port: Number(process.env.PORT ?? 0), host: '127.0.0.1' })
  process.send?.(url)
}

main()
