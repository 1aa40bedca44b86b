// What one writes by hand: an async onResponse hook that awaits one task after the other.
import closeWithGrace from 'close-with-grace'
import Fastify from 'fastify'
import { port } from './counts.mjs'
import { addRoutes } from './fastify-routes.mjs'

const app = Fastify()
closeWithGrace({ delay: 30_000 }, () => app.close())
app.decorateReply('tasks', null)
app.addHook('onResponse', async function runTasks (request, reply) {
  if (reply.tasks === null) return
  for (const [fn, args] of reply.tasks) {
    try {
      await fn(...args)
    } catch (err) {
      request.log.error(err)
    }
  }
})
addRoutes(app, (reply, fn, ...args) => {
  if (reply.tasks === null) reply.tasks = []
  reply.tasks.push([fn, args])
})
await app.listen({ port, host: '127.0.0.1' })
