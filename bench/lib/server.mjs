// One variant of an app in a process of its own: reports its CPU time and how many tasks ran when asked.
import process from 'node:process'
import Fastify from 'fastify'

const { variants } = await import(process.argv[2])
const variant = variants[process.argv[3]]
const app = Fastify(variant.options)
const ran = await variant(app)
await app.listen({ port: 0, host: '127.0.0.1' })

process.on('message', () => {
  const { user, system } = process.cpuUsage()
  process.send({ cpu: user + system, ran: ran() })
})
process.on('disconnect', () => app.close())
process.send({ url: app.listeningOrigin })
