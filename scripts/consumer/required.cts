// A TypeScript application that says `require`, without a mistake.
import background = require('fastify-background')
import context = require('fastify-background/context')
import { fastify } from 'fastify'

const app = fastify()
app.register(background, { closeTimeout: 1000 })
const task: background.BackgroundTask<[string]> = new background.BackgroundTask((to: string) => to.length, 'a@b.c')
const run: background.TaskRun = app.background.addTask(task)
const options: background.TaskOptions = { retries: 3, backoff: { delay: 100 } }
const email: background.TaskDefinition<[to: string], number> = background.defineTask((to: string) => to.length, options)
const found: background.TaskContext | undefined = context.getTaskContext()
app.get('/', { background: task }, async (request, reply) => {
  const same: background.ReplyBackground = reply.background
  if (run.error instanceof background.RetryAfterError) return run.error.delay
  return same.size + run.attempt + email('a@b.c') + (found?.attempt ?? 0)
})
