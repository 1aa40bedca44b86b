// An upload: the client gets its 202 when the file is here; it is compressed and hashed in the background, and its status
// says how far it has come.
// On its own, after npm run build: npx tsx example/upload.ts
import { createHash, randomUUID } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { constants, createGzip } from 'node:zlib'
import multipart, { type MultipartFile } from '@fastify/multipart'
import closeWithGrace from 'close-with-grace'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import backgroundPlugin, { BackgroundTasks, type TaskContext } from 'fastify-background'
import status from 'fastify-background/status'
import { createTimeline } from './timeline'

const CLOSE_TIMEOUT = 5_000
const MAX_FILE_SIZE = 64 * 1024 * 1024

export interface UploadOptions {
  directory: string
  logger?: FastifyServerOptions['logger']
}

export async function createUploadApp ({ directory, logger }: UploadOptions): Promise<FastifyInstance> {
  const app = Fastify({ logger })
  await app.register(backgroundPlugin, { closeTimeout: CLOSE_TIMEOUT })
  await app.register(status, { prefix: '/tasks', logLevel: 'warn' })
  await app.register(multipart, { limits: { files: 1, fileSize: MAX_FILE_SIZE } })

  app.post('/files', async (request, reply) => {
    const part = await request.file()
    if (part === undefined) return reply.code(400).send({ message: 'The form has no file' })

    const path = join(directory, randomUUID())
    await save(part, path)

    // Both only read the file, so they can work side by side.
    const [compressing] = reply.background.addTasks(new BackgroundTasks([], { concurrency: 2 })
      .addTask(compress, path)
      .addTask(hash, path))
    return reply.accepted(compressing)
  })

  app.get<{ Params: { id: string } }>('/files/:id(^[\\da-f-]{36}$).gz', { logLevel: 'warn' }, async (request, reply) =>
    reply.type('application/gzip').send(createReadStream(join(directory, `${request.params.id}.gz`))))

  // A task needs a file that is still there after the reply. Those of request.saveRequestFiles() are not: they are
  // deleted in onResponse, before the first task starts. And a client's file name is no path to write to.
  async function save (part: MultipartFile, path: string): Promise<void> {
    try {
      await pipeline(part.file, createWriteStream(path))
      if (part.file.truncated) throw new app.multipartErrors.RequestFileTooLargeError()
    } catch (error) {
      await rm(path, { force: true })
      throw error
    }
  }

  return app
}

async function compress (this: TaskContext, path: string): Promise<{ location: string }> {
  this.log.info('started')
  // Nobody waits for it, so it may be the slow, thorough kind.
  const gzip = createGzip({ level: constants.Z_BEST_COMPRESSION })
  const { size } = await stat(path)
  const report = (read: number): void => { this.progress(read / size) }
  await pipeline(createReadStream(path), (source: AsyncIterable<Buffer>) => counted(source, report), gzip,
    createWriteStream(`${path}.gz`), { signal: this.signal })
  const { size: bytes } = await stat(`${path}.gz`)
  this.log.info({ bytes }, 'done')
  return { location: `/files/${basename(path)}.gz` }
}

async function * counted (source: AsyncIterable<Buffer>, report: (bytes: number) => void): AsyncIterable<Buffer> {
  let bytes = 0
  for await (const chunk of source) {
    yield chunk
    report(bytes += chunk.length)
  }
}

async function hash (this: TaskContext, path: string): Promise<void> {
  this.log.info('started')
  const sha256 = createHash('sha256')
  for await (const chunk of createReadStream(path)) sha256.update(chunk)
  const digest = sha256.digest('hex')
  await writeFile(`${path}.sha256`, digest)
  this.log.info({ sha256: digest }, 'done')
}

/**
 * Serves uploads until somebody closes it.
 *
 * @param invite What to do at a URL.
 */
export async function serveUploads (
  create: (options: UploadOptions) => Promise<FastifyInstance>, invite: (url: string) => string
): Promise<void> {
  const timeline = createTimeline()
  const directory = await mkdtemp(join(tmpdir(), 'background-'))
  const app = await create({ directory, logger: timeline.logger })

  // app.close() waits for tasks up to closeTimeout: the process has to live longer than that.
  closeWithGrace({ delay: CLOSE_TIMEOUT + 5_000 }, async ({ err }) => {
    if (err) app.log.error(err)
    await app.close()
    await rm(directory, { recursive: true })
  })

  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  timeline.title('Uploads are open (Ctrl-C to close)', `writes to ${directory}`)
  console.log(`   ${invite(url)}\n`)
}

if (require.main === module) serveUploads(createUploadApp, (url) => `curl ${url}/files --form file=@package-lock.json`)
