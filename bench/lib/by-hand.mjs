// What one writes by hand on Fastify: an async onResponse hook that awaits one task after the other.
export function runByHand (app) {
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
}
