// A mail that survives kill -9: this kills its own server in mid-task, and starts it again. Run it, after npm run build:
// npx tsx example/durable.ts
import assert from 'node:assert'
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import closeWithGrace from 'close-with-grace'
import Fastify, { type FastifyInstance } from 'fastify'
import backgroundPlugin, { defineTask, type TaskContext } from 'fastify-background'
import { journal } from 'fastify-background/journal'
import { createTransport } from 'nodemailer'
import { post, registration } from './client'
import { openMailbox } from './mailbox'
import { createTimeline, paint, type Timeline } from './timeline'

const SMTP_HOST = '127.0.0.1'
const CLOSE_TIMEOUT = 5_000
const TIME_LIMIT_MS = 30_000

// ---- The server

export async function createDurableApp (smtpPort: number, location: string): Promise<FastifyInstance> {
  const app = Fastify({ logger: true })
  const mailer = createTransport({ host: SMTP_HOST, port: smtpPort, ignoreTLS: true })

  const sendEmail = defineTask(async function (this: TaskContext, to: string): Promise<void> {
    this.log.info({ to }, 'started')
    // The id is the same after a crash: whoever gets the mail twice can tell by it.
    const messageId = `<${this.id}@example.com>`
    await mailer.sendMail({ from: 'hello@example.com', to, subject: 'Welcome', text: 'Welcome!', messageId })
    this.log.info('done')
  }, { name: 'send-email', durable: true, retries: 3 })

  await app.register(backgroundPlugin, {
    engine: journal({ location }),
    // What the journal may run after a restart.
    tasks: [sendEmail],
    closeTimeout: CLOSE_TIMEOUT
  })

  app.post<{ Body: { email: string } }>('/accounts', async (request, reply) => {
    // On the disk before the 201 leaves.
    reply.background.addTask(sendEmail, request.body.email)
    return reply.code(201).send({ email: request.body.email })
  })

  return app
}

async function serve (smtpPort: string, location: string): Promise<void> {
  const app = await createDurableApp(Number(smtpPort), location)
  closeWithGrace({ delay: CLOSE_TIMEOUT + 5_000 }, async () => { await app.close() })
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  process.send!(url)
}

// ---- The one who kills it

/** A line of the server's log that is about a task. */
interface TaskLine { msg: string, task: string, taskId: string }

class Server {
  readonly #process: ChildProcess
  readonly #lines: TaskLine[] = []
  #onLine = (): void => {}

  constructor (smtpPort: number, location: string, { logger }: Timeline) {
    this.#process = fork(__filename, ['serve', String(smtpPort), location], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
    createInterface(this.#process.stdout!).on('line', (json) => {
      const line = JSON.parse(json) as TaskLine & { level: number }
      ;(logger as { stream: { write: (json: string) => void } }).stream.write(json)
      this.#lines.push(line)
      this.#onLine()
    })
  }

  /** Its address, once it listens. */
  async listens (): Promise<string> {
    const [url] = await once(this.#process, 'message')
    return url as string
  }

  /** What it logs of a task. */
  async logs (message: string): Promise<TaskLine> {
    for (;;) {
      const line = this.#lines.find(({ msg, taskId }) => msg === message && taskId !== undefined)
      if (line !== undefined) return line
      await new Promise<void>((resolve) => { this.#onLine = resolve })
    }
  }

  async kill (signal: NodeJS.Signals): Promise<void> {
    const ended = once(this.#process, 'exit')
    this.#process.kill(signal)
    await ended
  }
}

async function main (): Promise<void> {
  const timeline = createTimeline()
  const mails: string[] = []
  const mailbox = await openMailbox(({ to, subject }) => {
    mails.push(to)
    timeline.row('mailbox', `"${subject}" to ${to}`)
  })
  const directory = await mkdtemp(join(tmpdir(), 'background-'))
  try {
    timeline.title('A server with a journal', 'engine: journal({ location }), defineTask(…, { durable: true })')
    const takeMails = mailbox.hold()
    const first = new Server(mailbox.port, directory, timeline)
    await post(201, `${await first.listens()}/accounts`, registration('ada@example.com'))
    const { task: name, taskId: id } = await first.logs('started')
    await first.kill('SIGKILL')
    timeline.task({ id, name }, '×', 'kill -9: its process is gone')
    takeMails()

    timeline.title('The same server, started again', 'it finds in its journal what was not finished')
    const second = new Server(mailbox.port, directory, timeline)
    await second.listens()
    await second.logs('done')
    await second.kill('SIGTERM')

    assert(mails.join() === 'ada@example.com', `expected one mail to ada@example.com, got [${mails.join()}]`)
    console.log(`\n   ${paint('green', '✓')} one mail has arrived, and it is the one that was promised\n`)
  } finally {
    await mailbox.close()
    await rm(directory, { recursive: true })
  }
}

function fail (reason: string): void {
  console.error(`\n   ${paint('red', '✗')} ${reason}\n`)
  process.exit(1)
}

if (require.main === module) {
  const [, , command, smtpPort, location] = process.argv
  if (command === 'serve') serve(smtpPort, location)
  else {
    const limit = setTimeout(fail, TIME_LIMIT_MS, `not over after ${TIME_LIMIT_MS / 1_000} s`)
    main().then(() => clearTimeout(limit), (error: Error) => fail(error.message))
  }
}
