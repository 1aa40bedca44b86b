import closeWithGrace from 'close-with-grace'
import Fastify from 'fastify'
import background from 'fastify-background'
import { port } from './counts.mjs'
import { addRoutes } from './fastify-routes.mjs'

const app = Fastify()
closeWithGrace({ delay: 30_000 }, () => app.close())
await app.register(background)
addRoutes(app, (reply, fn, ...args) => reply.background.addTask(fn, ...args))
await app.listen({ port, host: '127.0.0.1' })
