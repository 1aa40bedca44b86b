// A web process and two workers over one Redis. One worker is killed in mid-task; the other does its work. Run it, after
// npm run build: npx tsx example/fleet/index.ts (needs redis-server, or a REDIS_URL)
import assert from 'node:assert'
import { fork, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { post } from '../client'
import { createTimeline, paint } from '../timeline'

const IMAGES = 6
const TIME_LIMIT_MS = 60_000
const ASK_EVERY_MS = 50

interface Line { msg: string, task?: string, taskId?: string, file?: string }

const timeline = createTimeline()

interface Redis { url: string, close: () => Promise<void> }

/** A Redis of our own, which is gone with the example. */
async function startRedis (): Promise<Redis> {
  const directory = await mkdtemp(join(tmpdir(), 'background-'))
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  await once(probe.close(), 'close')
  const server = spawn('redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--dir', directory, '--appendonly', 'yes'],
    { stdio: ['ignore', 'pipe', 'inherit'] })
  const missing = once(server, 'error').then(() => { throw new Error('redis-server is not installed; or set REDIS_URL') })
  const ready = new Promise<void>((resolve) => {
    createInterface(server.stdout).on('line', (line) => { if (line.includes('Ready to accept connections')) resolve() })
  })
  await Promise.race([ready, missing])
  missing.catch(() => {})
  return {
    url: `redis://127.0.0.1:${port}`,
    async close () {
      const ended = once(server, 'exit')
      server.kill()
      await ended
      await rm(directory, { recursive: true })
    }
  }
}

/** A process of the fleet. What it logs of tasks is drawn. */
class Member {
  readonly #process: ChildProcess
  readonly #said: Promise<unknown>
  #atWork: Line | undefined

  constructor (readonly name: string, file: string, redis: string) {
    this.#process = fork(join(__dirname, file), { env: { ...process.env, REDIS_URL: redis }, stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
    this.#said = once(this.#process, 'message').then(([message]) => message)
    createInterface(this.#process.stdout!).on('line', (json) => this.#draw(JSON.parse(json) as Line))
  }

  /** Its address, or that it is ready. */
  get said (): Promise<unknown> {
    return this.#said
  }

  /** What it is at. */
  get atWork (): Line | undefined {
    return this.#atWork
  }

  async end (signal: NodeJS.Signals): Promise<void> {
    const ended = once(this.#process, 'exit')
    this.#process.kill(signal)
    await ended
  }

  #draw (line: Line): void {
    const { msg, taskId, task = '', file } = line
    if (taskId === undefined) return
    const run = { id: `${this.name} ${taskId}`, name: task }
    if (msg === 'started') {
      this.#atWork = line
      timeline.task(run, '┬', `${this.name} has ${file}`)
    } else if (msg === 'done') {
      this.#atWork = undefined
      timeline.task(run, '┴', `${this.name} is done`)
    }
  }

  /** It has not come to an end. */
  drop (): void {
    const { taskId, task = '', file } = this.#atWork!
    timeline.task({ id: `${this.name} ${taskId}`, name: task }, '×', `${this.name} is killed, and had ${file}`)
  }
}

async function main (): Promise<void> {
  const redis: Redis = process.env.REDIS_URL === undefined
    ? await startRedis()
    : { url: process.env.REDIS_URL, close: async () => {} }
  const members: Member[] = []
  const start = (name: string, file: string): Member => {
    const member = new Member(name, file, redis.url)
    members.push(member)
    return member
  }
  try {
    timeline.title('A web process and two workers', 'engine: bullmq({ queue, connection }), worker: false | true')
    const [web, first, second] = [start('web', 'web.ts'), start('worker 1', 'worker.ts'), start('worker 2', 'worker.ts')]
    const url = await web.said as string
    await Promise.all([first.said, second.said])

    const ids: string[] = []
    for (let i = 1; i <= IMAGES; i++) {
      const { id } = await post(202, `${url}/images`, {
        headers: { 'content-type': 'application/json' }, body: JSON.stringify({ file: `image-${i}.png` })
      })
      ids.push(id)
    }
    timeline.row('client', `${IMAGES} images are accepted`)
    while (first.atWork === undefined) await sleep(ASK_EVERY_MS)
    await first.end('SIGKILL')
    first.drop()
    members.splice(members.indexOf(first), 1)

    const images = await Promise.all(ids.map((id) => result(`${url}/images/${id}`)))
    assert(images.every((image, i) => image === `small-image-${i + 1}.png`), `expected ${IMAGES} small images, got ${images.join()}`)
    console.log(`\n   ${paint('green', '✓')} ${images.length} images are small, those of the worker that was killed too\n`)
  } finally {
    await Promise.all(members.map((member) => member.end('SIGTERM')))
    await redis.close()
  }
}

/** Asks the web process until it is there. */
async function result (url: string): Promise<unknown> {
  for (;;) {
    const { state, result } = await (await fetch(url)).json() as { state: string, result?: unknown }
    if (state === 'completed') return result
    assert(state !== 'failed', `${url} has failed`)
    await sleep(ASK_EVERY_MS)
  }
}

function fail (reason: string): void {
  console.error(`\n   ${paint('red', '✗')} ${reason}\n`)
  process.exit(1)
}

const limit = setTimeout(fail, TIME_LIMIT_MS, `not over after ${TIME_LIMIT_MS / 1_000} s`)
main().then(() => clearTimeout(limit), (error: Error) => fail(error.message))
