// Pictures are made smaller while the server goes on answering: in its event loop, and in threads. Run it, after
// npm run build: npx tsx example/threads.ts
import assert from 'node:assert'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { setTimeout } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import Fastify, { type FastifyInstance } from 'fastify'
import backgroundPlugin, { defineTask, type TaskDefinition } from 'fastify-background'
import { threads, threadTask } from 'fastify-background/threads'
import { PNG } from 'pngjs'

const IMAGES = 8
const WIDTH = 1_600
const HEIGHT = 1_200
const FACTOR = 4
const PROBE_INTERVAL_MS = 4
const QUIET_PROBES = 250
// Where so many have no answer yet, one more does not say more.
const MAX_OPEN_PROBES = 500

// ---- The server

const SHRINK = pathToFileURL(join(__dirname, 'shrink.mjs'))

export async function createImagesApp (): Promise<FastifyInstance> {
  // On a busy machine, the first thread takes its time to start.
  const app = Fastify({ bodyLimit: 16 * 1024 * 1024, pluginTimeout: 0 })
  await app.register(backgroundPlugin)
  await app.register(threads)

  const { default: shrink } = await import('./shrink.mjs')
  const tasks: Record<string, TaskDefinition<[image: Buffer, factor: number]>> = {
    loop: defineTask(shrink),
    threads: threadTask<typeof shrink>(SHRINK, { timeout: 60_000, retries: 1 })
  }
  const images: Buffer[] = []

  app.addContentTypeParser('image/png', { parseAs: 'buffer' }, (_request, body, done) => { done(null, body) })

  app.post<{ Querystring: { in: string }, Body: Buffer }>('/images', async (request, reply) => {
    const run = reply.background.addTask(tasks[request.query.in], request.body, FACTOR)
    run.finished().then(({ result }) => { images.push(result as Buffer) }, (error) => { request.log.error(error) })
    return reply.code(202).send({ taskId: run.id })
  })
  app.get('/images', async () => images.splice(0).map((image) => image.toString('base64')))
  app.get('/pending', async () => {
    const { queued, active } = app.background.stats()
    return queued + active
  })
  app.get('/hello', async () => 'hello')

  return app
}

async function serve (): Promise<void> {
  const app = await createImagesApp()
  process.once('disconnect', () => { app.close() })
  process.send!(await app.listen({ port: 0, host: '127.0.0.1' }))
}

// ---- Its client

async function main (): Promise<void> {
  const { paint } = await import('./paint.mjs')
  const image = paint(WIDTH, HEIGHT)
  const server = fork(__filename, ['serve'])
  const [url] = await once(server, 'message') as [string]
  try {
    console.log(`p99 of GET /hello, while ${IMAGES} pictures of ${WIDTH} × ${HEIGHT} are made smaller:`)
    await probe(url, async (probes) => probes < QUIET_PROBES)
    print('nothing else to do', await probe(url, async (probes) => probes < QUIET_PROBES))
    for (const [where, words] of [['loop', 'in the event loop'], ['threads', 'in threads']]) {
      for (let i = 0; i < IMAGES; i++) {
        const { status } = await fetch(`${url}/images?in=${where}`, { method: 'POST', headers: { 'content-type': 'image/png' }, body: new Uint8Array(image) })
        assert.equal(status, 202)
      }
      print(words, await probe(url, async () => await get(`${url}/pending`) !== '0'))
      const images = JSON.parse(await get(`${url}/images`)) as string[]
      const sizes = images.map((each) => PNG.sync.read(Buffer.from(each, 'base64'))).map(({ width, height }) => `${width} × ${height}`)
      assert.deepEqual(sizes, new Array(IMAGES).fill(`${WIDTH / FACTOR} × ${HEIGHT / FACTOR}`))
    }
  } finally {
    const ended = once(server, 'exit')
    server.disconnect()
    await ended
  }
}

/** How long answers take, in milliseconds, asked for at regular times: also while the one before is not there yet. */
async function probe (url: string, goesOn: (probes: number) => Promise<boolean>): Promise<number[]> {
  const asked: Array<Promise<number>> = []
  let open = 0
  const over = new AbortController()
  const stop = (): void => { over.abort() }

  async function ask (): Promise<number> {
    open++
    const began = performance.now()
    await get(`${url}/hello`)
    open--
    return performance.now() - began
  }
  async function follow (): Promise<void> {
    while (await goesOn(asked.length)) await setTimeout(PROBE_INTERVAL_MS)
  }

  const following = follow()
  following.then(stop, stop)
  while (!over.signal.aborted) {
    if (open < MAX_OPEN_PROBES) {
      const asking = ask()
      asking.catch(stop)
      asked.push(asking)
    }
    await setTimeout(PROBE_INTERVAL_MS)
  }
  await following
  return await Promise.all(asked)
}

async function get (url: string): Promise<string> {
  return await (await fetch(url)).text()
}

function print (words: string, times: number[]): void {
  const p99 = times.sort((a, b) => a - b)[Math.floor(times.length * 0.99)]
  console.log(`   ${words.padEnd(20)} ${p99.toFixed(1).padStart(7)} ms`)
}

if (require.main === module) {
  const what = process.argv[2] === 'serve' ? serve() : main()
  what.catch((error) => {
    console.error(error)
    process.exitCode = 1
  })
}
