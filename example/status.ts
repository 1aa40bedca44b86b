// A page that uploads a file and shows how far its task has come. The server is that of upload.ts.
// On its own, after npm run build: npx tsx example/status.ts
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { createUploadApp, serveUploads, type UploadOptions } from './upload'

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

if (require.main === module) serveUploads(createStatusApp, (url) => `open ${url}/ in a browser`)
