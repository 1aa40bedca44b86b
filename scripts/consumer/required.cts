// A TypeScript application that says `require`, without a mistake.
import background = require('fastify-background')
import { fastify } from 'fastify'

const app = fastify()
app.register(background, { closeTimeout: 1000 })
const task: background.BackgroundTask<[string]> = new background.BackgroundTask((to: string) => to.length, 'a@b.c')
const run: background.TaskRun = app.background.addTask(task)
app.get('/', { background: task }, async (request, reply) => {
  const same: background.ReplyBackground = reply.background
  return same.size + run.attempt
})
