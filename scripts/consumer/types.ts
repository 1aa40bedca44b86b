// A TypeScript application without a mistake.
import { subscribe, tracingChannel } from 'node:diagnostics_channel'
import fastify, { type FastifyReply, type FastifyRequest } from 'fastify'
import background, {
  BackgroundTask, BackgroundTasks, defineTask, errorCodes, fastifyBackground, RetryAfterError, UnrecoverableError
} from 'fastify-background'
import type {
  AppBackground, AttemptEvent, BackgroundOptions, BackgroundStats, Backoff, CancelledEvent, ProgressEvent,
  ReplyBackground, RetryingEvent, RouteBackground, TaskContext, TaskDefinition, TaskEvent, TaskFunction, TaskOptions,
  TaskPolicy, TaskProgress, TaskRun, TaskState, When
} from 'fastify-background'
import { getTaskContext } from 'fastify-background/context'
import dashboard, { type DashboardOptions } from 'fastify-background/dashboard'
import { threads, threadTask, type ThreadsOptions, type ThreadTaskOptions } from 'fastify-background/threads'

async function sendEmail (this: TaskContext, to: string, subject = 'hi'): Promise<number> {
  this.log.info({ to, subject, task: this.name })
  return to.length
}

async function download (this: TaskContext, url: string): Promise<number> {
  const response = await fetch(url, { signal: this.signal })
  if (response.status === 429) throw new RetryAfterError(1000, 'busy')
  if (response.status === 404) throw new UnrecoverableError('gone', { cause: this.attempt })
  this.progress({ value: 0.5, message: 'half of it' })
  getTaskContext()?.progress(1)
  return response.status
}

const backoff: Backoff = { delay: 100, factor: 3, max: 10_000, jitter: false }
const policy: TaskPolicy = { timeout: 5000, retries: 3, backoff }
const taskOptions: TaskOptions = { ...policy, name: 'download', when: 'always' }
const downloading: TaskDefinition<[url: string], Promise<number>> = defineTask(download, taskOptions)
const threadOptions: ThreadTaskOptions = { ...taskOptions, export: 'download' }
const inThread: TaskDefinition<[url: string], Promise<number>> = threadTask<typeof download>('/download.js', threadOptions)
const limits: ThreadsOptions = { maxThreads: 2 }
const audit = defineTask((request: FastifyRequest) => request.url)

async function main (options: BackgroundOptions): Promise<BackgroundStats> {
  const app = fastify({ logger: true })
  await app.register(background, { closeTimeout: 1000, onTaskError: (error, run) => { app.log.error({ error, id: run.id }) } })
  await app.register(fastifyBackground, options)
  await app.register(background, { ...policy, concurrency: 10, maxPending: 1000 })
  await app.register(background.default)
  await app.register(threads, limits)

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
  app.get('/definition', { background: [audit, defineTask(() => {})] }, async (request, reply) => {
    const run: TaskRun<number> = reply.background.addTask(downloading, 'http://localhost')
    reply.background.addTask(inThread, 'http://localhost')
    reply.background.addTasks(new BackgroundTasks([new BackgroundTask(downloading, 'http://localhost')]))
    const progress: TaskProgress | undefined = run.progress
    return { name: downloading.name, retries: downloading.options.retries, progress, cancelled: run.cancel('enough') }
  })
  app.addHook('onRequest', async (request, reply) => { inHook(reply) })

  const secure = fastify({ http2: true, https: { key: '', cert: '' } })
  await secure.register(background, { when: 'success' })
  secure.get('/', { background: (request) => request.raw.stream.id }, async (request, reply) => inHook(reply).size)

  const dashboardOptions: DashboardOptions = { prefix: '/tasks', onRequest: async (request, reply) => { if (request.ip === '') await reply.code(401).send() } }
  await app.register(dashboard, { ...dashboardOptions, showArguments: true, logLevel: 'warn' })
  await app.register(dashboard, { preHandler: [(request, reply, done) => { done() }] })

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
const code: 'FST_ERR_BACKGROUND_CLOSED' = new errorCodes.FST_ERR_BACKGROUND_CLOSED('sendEmail', 'refused').code

tracingChannel<unknown, AttemptEvent>('fastify.background.task').error.subscribe((message) => {
  const event = message as AttemptEvent
  console.log(event.run.name, event.attempt, event.duration, event.error)
})
for (const name of ['queued', 'retrying', 'progress', 'cancelled']) {
  subscribe(`fastify.background.task.${name}`, (message) => { console.log(inWords(message as TaskEvent)) })
}

function inWords (event: TaskEvent | RetryingEvent | ProgressEvent | CancelledEvent): string {
  if ('delay' in event) return `again in ${event.delay} ms`
  if ('progress' in event) return `${event.progress.value} of ${event.run.id}`
  return 'reason' in event ? String(event.reason) : event.run.name
}

main({ when }).then(() => { console.log(ofRoute, code) })
