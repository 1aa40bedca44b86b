// Fastify with what one writes by hand.
import closeWithGrace from 'close-with-grace'
import Fastify from 'fastify'
import { runByHand } from '../lib/by-hand.mjs'
import { port } from './counts.mjs'
import { addRoutes } from './fastify-routes.mjs'

const app = Fastify()
closeWithGrace({ delay: 30_000 }, () => app.close())
runByHand(app)
addRoutes(app, (reply, fn, ...args) => {
  if (reply.tasks === null) reply.tasks = []
  reply.tasks.push([fn, args])
})
await app.listen({ port, host: '127.0.0.1' })
