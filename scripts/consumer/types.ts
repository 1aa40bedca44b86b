// A TypeScript application without a mistake.
import fastify, { type FastifyReply } from 'fastify'
import background, { BackgroundTask, BackgroundTasks, errorCodes, fastifyBackground } from 'fastify-background'
import type {
  AppBackground, BackgroundOptions, BackgroundStats, ReplyBackground, RouteBackground, TaskContext, TaskFunction,
  TaskRun, TaskState, When
} from 'fastify-background'

async function sendEmail (this: TaskContext, to: string, subject = 'hi'): Promise<number> {
  this.log.info({ to, subject, task: this.name })
  return to.length
}

async function main (options: BackgroundOptions): Promise<BackgroundStats> {
  const app = fastify({ logger: true })
  await app.register(background, { closeTimeout: 1000, onTaskError: (error, run) => { app.log.error({ error, id: run.id }) } })
  await app.register(fastifyBackground, options)
  await app.register(background.default)

  app.post<{ Body: { email: string } }>('/', {
    background: (request, reply) => new BackgroundTask(sendEmail, request.body.email, String(reply.statusCode))
  }, async (request, reply) => {
    const run: TaskRun<number> = reply.background.addTask(sendEmail, request.body.email)
    const result: number | undefined = (await run.finished()).result
    return { result, size: reply.background.size }
  })
  app.get('/list', { background: [new BackgroundTask(sendEmail, 'a@b.c'), () => {}] }, async () => 'ok')
  app.route({ method: 'GET', url: '/route', background: new BackgroundTasks(), handler: async () => 'ok' })
  app.get('/config', { config: { background: new BackgroundTask(sendEmail, 'a@b.c') } }, async () => 'ok')
  app.addHook('onRequest', async (request, reply) => { inHook(reply) })

  const secure = fastify({ http2: true, https: { key: '', cert: '' } })
  await secure.register(background, { when: 'success' })
  secure.get('/', { background: (request) => request.raw.stream.id }, async (request, reply) => inHook(reply).size)

  const every: AppBackground = app.background
  await every.idle()
  return app.background.stats()
}

function inHook (reply: { background: ReplyBackground }): ReplyBackground {
  const tasks: BackgroundTask[] = [new BackgroundTask(sendEmail, 'a@b.c'), new BackgroundTask(() => {})]
  const group: BackgroundTasks = new BackgroundTasks(tasks, { concurrency: 2, onFailure: 'stop' })
  const runs: TaskRun[] = reply.background.addTasks(group.addTask(sendEmail, 'a@b.c', 'hi'))
  const state: TaskState | undefined = runs[0]?.state
  const fn: TaskFunction<[string], Promise<number>> = sendEmail
  reply.background.addTask(fn, String(state))
  return reply.background
}

const when: When = (request, reply) => reply.statusCode < 500
const ofRoute: RouteBackground = (request, reply: FastifyReply) => { reply.log.info(request.url) }
const code: 'FST_ERR_BACKGROUND_CLOSED' = new errorCodes.FST_ERR_BACKGROUND_CLOSED('sendEmail').code

main({ when }).then(() => { console.log(ofRoute, code) })
