// A page that uploads a file and shows how far its task has come. The server is that of upload.ts.
// On its own, after npm run build: npx tsx example/status.ts
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import closeWithGrace from 'close-with-grace'
import type { FastifyInstance } from 'fastify'
import { createTimeline } from './timeline'
import { createUploadApp, type UploadOptions } from './upload'

const CLOSE_TIMEOUT = 5_000
const PAGE = join(__dirname, 'status')
const FILES = { '/': ['page.html', 'text/html'], '/page.css': ['page.css', 'text/css'], '/page.js': ['page.js', 'text/javascript'] } as const

export async function createStatusApp (options: UploadOptions): Promise<FastifyInstance> {
  const app = await createUploadApp(options)
  for (const [url, [file, type]] of Object.entries(FILES)) {
    const content = await readFile(join(PAGE, file))
    app.get(url, { logLevel: 'warn' }, async (_request, reply) => {
      reply.type(`${type}; charset=utf-8`).header('content-security-policy', "default-src 'self'; img-src data:")
      return content
    })
  }
  return app
}

async function main (): Promise<void> {
  const timeline = createTimeline()
  const directory = await mkdtemp(join(tmpdir(), 'background-'))
  const app = await createStatusApp({ directory, logger: timeline.logger })

  // app.close() waits for tasks up to closeTimeout: the process has to live longer than that.
  closeWithGrace({ delay: CLOSE_TIMEOUT + 5_000 }, async ({ err }) => {
    if (err) app.log.error(err)
    await app.close()
    await rm(directory, { recursive: true })
  })

  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  timeline.title('Uploads are open (Ctrl-C to close)', `writes to ${directory}`)
  console.log(`   open ${url}/ in a browser\n`)
}

if (require.main === module) main()
