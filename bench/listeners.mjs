// Question: how much memory does a client take that looks on, and how much more where it does not read?
// Measured as the memory that a server uses for objects and buffers, after a garbage collection: with clients that look on,
// less what it was without, for each of them; after events of 1 kB that none of them has read; and after all have left.
// Beside it, an event stream written by hand that keeps nothing for its clients. Each in a process of its own.
import { once } from 'node:events'
import { connect } from 'node:net'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import Fastify from 'fastify'
import background from 'fastify-background'
import dashboard from 'fastify-background/dashboard'
import status from 'fastify-background/status'
import { ask, start } from './lib/child.mjs'
import { memory } from './lib/heap.mjs'
import { print } from './lib/print.mjs'
import { estimate } from './lib/stats.mjs'

const FILE = fileURLToPath(import.meta.url)
const MESSAGE = 'x'.repeat(1_000)
const STATUS = 'the status of a run'

// Each prepares an application, and returns the path to look on, and how one more event comes about.
export const variants = {
  async 'written by hand' (app) {
    app.get('/', async (_request, reply) => {
      reply.hijack()
      reply.raw.writeHead(200, { 'content-type': 'text/event-stream' }).write(': hello\n\n')
    })
    return { path: '/', tell () {} }
  },

  async [STATUS] (app, clients) {
    await app.register(status, { maxListeners: clients, interval: 0 })
    const task = await new Promise((resolve) => app.background.addTask(function wait () {
      resolve(this)
      return new Promise(() => {})
    }))
    return { path: `/tasks/${task.id}`, tell: (share) => task.progress({ value: share, message: MESSAGE }) }
  },

  // No more than 100, and one frame a second for all of them.
  async 'a page of the dashboard' (app) {
    await app.register(dashboard, { allowAnonymous: true })
    return { path: '/background/feed', clients: 100, tell () {} }
  }
}

export async function measure ({ smoke }) {
  const [processes, clients, events] = smoke ? [1, 50, 10] : [3, 1_000, 1_000]
  const values = Object.fromEntries(Object.keys(variants).map((name) => [name, { each: [], unread: [], left: [] }]))
  for (let i = 0; i < processes; i++) {
    for (const name of Object.keys(variants)) {
      for (const [key, value] of Object.entries(await measureListeners(name, clients, events))) values[name][key].push(value)
    }
  }
  return { clients, events, values }
}

async function measureListeners (name, clients, events) {
  const { child, hello: { port, path, clients: most = clients } } = await start(FILE, [name, clients], { execArgv: ['--expose-gc'] })
  try {
    const count = Math.min(clients, most)
    // What is made once, and what Node keeps for the next.
    for (const socket of await openAll(count, port, path)) socket.destroy()
    const before = await ask(child, 0)
    const sockets = await openAll(count, port, path)
    const open = await ask(child, 0)
    const unread = await ask(child, events)
    for (const socket of sockets) socket.destroy()
    return { each: (open - before) / count, unread: (unread - before) / count, left: await ask(child, 0) - before }
  } finally {
    child.disconnect()
  }
}

async function openAll (count, port, path) {
  return await Promise.all(Array.from({ length: count }, async () => {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n`)
    await once(socket, 'data')
    return socket.pause()
  }))
}

async function serve (name, clients) {
  const app = Fastify()
  await app.register(background, { closeTimeout: 0 })
  const { tell, ...how } = await variants[name](app, clients)
  process.on('message', async (events) => {
    for (let i = 1; i <= events; i++) {
      tell(i / events)
      await new Promise(setImmediate)
    }
    process.send(await memory())
  })
  process.on('disconnect', () => process.exit())
  await app.listen({ port: 0, host: '127.0.0.1' })
  process.send({ port: app.server.address().port, ...how })
}

export function report ({ clients, events, values }) {
  const kilobytes = (list) => estimate(list.map((bytes) => bytes / 1_000))
  return {
    tables: [{
      title: `${clients.toLocaleString('en-US')} clients; 100 pages of the dashboard, which takes no more`,
      columns: ['an event stream', 'kB each', `kB each after ${events.toLocaleString('en-US')} unread events`, 'kB more after all have left'],
      rows: Object.entries(values).map(([name, { each, unread, left }]) =>
        [name, kilobytes(each), name === STATUS ? kilobytes(unread) : '', kilobytes(left)])
    }],
    goals: [],
    charts: []
  }
}

if (process.argv[1] === FILE) await (process.send === undefined ? print(report(await measure({ smoke: false }))) : serve(process.argv[2], Number(process.argv[3])))
