// A registration: the client gets its 201 at once; a mail and a line in a log file follow in the background.
// All the ways to say so are here, one route each. On its own, after npm run build: npx tsx example/register.ts
import { appendFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import closeWithGrace from 'close-with-grace'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest, type FastifyServerOptions } from 'fastify'
import backgroundPlugin, { BackgroundTask, BackgroundTasks, type TaskContext } from 'fastify-background'
import { createTransport } from 'nodemailer'
import { openMailbox } from './mailbox'
import { createTimeline } from './timeline'

const ADMIN = 'admin@example.com'
const CLOSE_TIMEOUT = 5_000

export interface RegisterOptions {
  smtp: { host: string, port: number }
  logFile: string
  logger?: FastifyServerOptions['logger']
}

interface Registration { Body: { email: string } }

const schema = {
  body: { type: 'object', required: ['email'], properties: { email: { type: 'string', format: 'email' } } }
}

export async function createRegisterApp ({ smtp, logFile, logger }: RegisterOptions): Promise<FastifyInstance> {
  const app = Fastify({ logger })
  const mailer = createTransport({ ...smtp, pool: true, ignoreTLS: true })

  // onClose hooks run last in, first out. What the tasks use goes before the plugin, so it outlives the last of them.
  app.addHook('onClose', async () => { mailer.close() })

  // Awaited: the plugin sees the routes that are declared after it has loaded.
  await app.register(backgroundPlugin, { closeTimeout: CLOSE_TIMEOUT })

  // A task is a function. Its `this.log` adds the request's id, the task's name and the run's id to each line.
  async function sendMail (this: TaskContext, to: string, subject: string): Promise<void> {
    this.log.info({ to, subject }, 'started')
    await mailer.sendMail({ from: 'hello@example.com', to, subject, text: `${subject}!` })
    this.log.info('done')
  }

  async function writeLine (this: TaskContext, line: string): Promise<void> {
    this.log.info({ line }, 'started')
    await appendFile(logFile, `${new Date().toISOString()} ${line}\n`)
    this.log.info('done')
  }

  async function created (request: FastifyRequest<Registration>, reply: FastifyReply) {
    return reply.code(201).send({ email: request.body.email })
  }

  // ---- On the reply: tasks that a handler adds

  // Several calls. The tasks run one at a time, in this order.
  app.post<Registration>('/register', { schema }, async (request, reply) => {
    const { email } = request.body
    reply.background.addTask(sendMail, email, 'Welcome')
    reply.background.addTask(writeLine, `${email} has registered`)
    return created(request, reply)
  })

  // One task. Its arguments are checked against the function's parameters.
  app.post<Registration>('/reply/task', { schema }, async (request, reply) => {
    reply.background.addTask(sendMail, request.body.email, 'Welcome')
    return created(request, reply)
  })

  // A list.
  app.post<Registration>('/reply/list', { schema }, async (request, reply) => {
    const { email } = request.body
    reply.background.addTasks([
      new BackgroundTask(sendMail, email, 'Welcome'),
      new BackgroundTask(writeLine, `${email} has registered`)
    ])
    return created(request, reply)
  })

  // A group: two mails at once; what is added after it starts when both are out.
  app.post<Registration>('/reply/group', { schema }, async (request, reply) => {
    const { email } = request.body
    reply.background.addTasks(new BackgroundTasks([], { concurrency: 2 })
      .addTask(sendMail, email, 'Welcome')
      .addTask(sendMail, ADMIN, 'New account'))
    reply.background.addTask(writeLine, `${email} has registered`)
    return created(request, reply)
  })

  // ---- On the route: tasks of every successful reply

  // One task, the same for every request.
  app.post<Registration>('/route/task', {
    schema,
    background: new BackgroundTask(sendMail, ADMIN, 'New account')
  }, created)

  // A list.
  app.post<Registration>('/route/list', {
    schema,
    background: [
      new BackgroundTask(sendMail, ADMIN, 'New account'),
      new BackgroundTask(writeLine, 'somebody has registered')
    ]
  }, created)

  // A function of the request that does the work: it is a task itself, and its name is the task's name in the log.
  app.post<Registration>('/route/function', {
    schema,
    background: async function welcome (request) {
      await sendMail.call(this, request.body.email, 'Welcome')
    }
  }, created)

  // A function of the request that returns the task to run.
  app.post<Registration>('/route/returns-task', {
    schema,
    background: (request) => new BackgroundTask(sendMail, request.body.email, 'Welcome')
  }, created)

  return app
}

async function main (): Promise<void> {
  const timeline = createTimeline()
  const mailbox = await openMailbox(({ to, subject }) => timeline.row('mailbox', `"${subject}" to ${to}`))
  const directory = await mkdtemp(join(tmpdir(), 'background-'))
  const logFile = join(directory, 'register.log')
  const app = await createRegisterApp({ smtp: mailbox, logFile, logger: timeline.logger })

  // app.close() waits for tasks up to closeTimeout: the process has to live longer than that.
  closeWithGrace({ delay: CLOSE_TIMEOUT + 5_000 }, async ({ err }) => {
    if (err) app.log.error(err)
    await app.close()
    await mailbox.close()
    await rm(directory, { recursive: true })
  })

  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  timeline.title('Registration is open (Ctrl-C to close)', `writes to ${logFile}`)
  console.log(`   curl ${url}/register -H 'content-type: application/json' \\\n     -d '{ "email": "ada@example.com" }'\n`)
}

if (require.main === module) main()
