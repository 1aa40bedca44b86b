// A shop whose tasks have policies: a mail is tried again, a call has a time-out, an import can be cancelled, and there
// is room for so many tasks. On its own, after npm run build: npx tsx example/policies.ts
import closeWithGrace from 'close-with-grace'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import backgroundPlugin, { defineTask, type TaskContext } from 'fastify-background'
import { createTransport } from 'nodemailer'
import { drawTasks } from './events'
import { openMailbox } from './mailbox'
import { openPartner } from './partner'
import { createTimeline } from './timeline'

const CLOSE_TIMEOUT = 5_000
const PAGES = 4

export interface PoliciesOptions {
  smtp: { host: string, port: number }
  partnerUrl: string
  logger?: FastifyServerOptions['logger']
}

const schema = {
  body: { type: 'object', required: ['email'], properties: { email: { type: 'string', format: 'email' } } }
}

export async function createPoliciesApp ({ smtp, partnerUrl, logger }: PoliciesOptions): Promise<FastifyInstance> {
  const app = Fastify({ logger })
  const mailer = createTransport({ ...smtp, pool: true, ignoreTLS: true })
  app.addHook('onClose', async () => { mailer.close() })

  // Two tasks at work, one more in the queue: who brings another gets a 503.
  await app.register(backgroundPlugin, { concurrency: 2, maxPending: 3, closeTimeout: CLOSE_TIMEOUT })

  // ---- Retries: whatever an attempt throws, there is another one, up to four times.

  async function sendEmailNotification (this: TaskContext, to: string): Promise<void> {
    await mailer.sendMail({
      from: 'hello@example.com',
      to,
      subject: 'Welcome',
      text: 'Welcome!',
      // The same in each attempt: a mail that went out in an attempt that failed is known when it comes again.
      messageId: `<${this.id}@example.com>`
    })
  }

  const sendEmail = defineTask(sendEmailNotification, {
    name: 'send-email',
    // No mail where the handler fails after it has added the task.
    when: 'success',
    timeout: 5_000,
    retries: 4,
    // Short waits, to be watched. By default the first is a second, and each further one twice as long.
    backoff: { delay: 30 }
  })

  app.post<{ Body: { email: string } }>('/accounts', { schema }, async (request, reply) => {
    const { email } = request.body
    // Throws where there is no room, and the client gets a 503: so it comes before all else that the handler does.
    reply.background.addTask(sendEmail, email)
    return reply.code(201).send({ email })
  })

  // ---- A time-out: it ends the task, and its signal ends what the task is at.

  const callWebhook = defineTask(async function (this: TaskContext, order: unknown): Promise<void> {
    const response = await fetch(`${partnerUrl}/orders`, {
      method: 'POST',
      body: JSON.stringify(order),
      signal: this.signal
    })
    if (!response.ok) throw new Error(`the partner said ${response.status}`)
  }, { name: 'webhook', timeout: 250 })

  app.post('/orders', async (request, reply) => {
    reply.background.addTask(callWebhook, request.body)
    return reply.code(202).send({ ordered: true })
  })

  // ---- Progress, and a way to cancel: who has the id can end the task.

  const importCatalog = defineTask(async function (this: TaskContext): Promise<void> {
    for (let page = 1; page <= PAGES; page++) {
      const response = await fetch(`${partnerUrl}/catalog/${page}`, { signal: this.signal })
      await response.json()
      this.progress({ value: page / PAGES, message: `page ${page} of ${PAGES}` })
    }
  }, { name: 'import' })

  app.post('/imports', async (_request, reply) => {
    const run = reply.background.addTask(importCatalog)
    return reply.code(202).send({ taskId: run.id })
  })

  app.delete<{ Params: { id: string } }>('/tasks/:id', async (request, reply) => {
    const run = app.background.get(request.params.id)
    if (run === undefined) return reply.code(404).send({ message: 'There is no such task, or it is over' })
    run.cancel(new Error('cancelled by its client'))
    return reply.code(204).send()
  })

  return app
}

async function main (): Promise<void> {
  const timeline = createTimeline()
  const mailbox = await openMailbox(({ to, subject }) => timeline.row('mailbox', `"${subject}" to ${to}`))
  mailbox.refuseNext(2)
  const partner = await openPartner((call) => timeline.row('partner', call))
  const app = await createPoliciesApp({ smtp: mailbox, partnerUrl: partner.url, logger: timeline.requestLogger })
  drawTasks(app.background, timeline)

  // app.close() waits for tasks up to closeTimeout: the process has to live longer than that.
  closeWithGrace({ delay: CLOSE_TIMEOUT + 5_000 }, async ({ err }) => {
    if (err) app.log.error(err)
    await app.close()
    await mailbox.close()
    await partner.close()
  })

  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  timeline.title('The shop is open (Ctrl-C to close)', 'the first two mails are refused, and the partner hangs')
  console.log(`   curl ${url}/accounts -H 'content-type: application/json' \\\n     -d '{ "email": "ada@example.com" }'`)
  console.log(`   curl ${url}/orders -X POST`)
  console.log(`   curl ${url}/imports -X POST`)
  console.log(`   curl ${url}/tasks/TASK_ID -X DELETE\n`)
}

if (require.main === module) main()
