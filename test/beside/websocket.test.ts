import { once } from 'node:events'
import websocket from '@fastify/websocket'
import type { FastifyInstance } from 'fastify'
import WebSocket from 'ws'
import { BackgroundTask } from '../../lib/index'
import { listen } from '../helpers/app'
import { beside } from '../helpers/beside'
import { counts } from '../helpers/counts'
import { latch, until } from '../helpers/latch'

const test = beside('@fastify/websocket', (app) => app.register(websocket))

test('T1: a route\'s task waits while the websocket is open, and runs once when the client closes it', async (t, app) => {
  const ran: string[] = []
  app.get('/', { websocket: true, background: new BackgroundTask((word: string) => { ran.push(word) }, 'route') }, echo)
  const client = await connect(app)

  t.equal(await ask(client, 'hello'), 'hello')
  t.strictSame(app.background.stats(), counts({ accepted: 1, queued: 1 }))
  client.close()
  await app.background.idle()

  t.strictSame(ran, ['route'])
  t.strictSame(app.background.stats(), counts({ accepted: 1, completed: 1 }))
})

test('T2: a route\'s task runs once when the server closes the websocket', async (t, app) => {
  const ran: string[] = []
  app.get('/', { websocket: true, background: () => { ran.push('route') } }, (socket) => {
    socket.on('message', () => socket.close())
  })
  const client = await connect(app)

  t.strictSame(app.background.stats(), counts({ accepted: 1, queued: 1 }))
  client.send('bye')
  await once(client, 'close')
  await app.background.idle()

  t.strictSame(ran, ['route'])
  t.strictSame(app.background.stats(), counts({ accepted: 1, completed: 1 }))
})

test('T2: a route\'s task runs once when the connection of a websocket is cut', async (t, app) => {
  const ran: string[] = []
  const ended = latch()
  app.get('/', { websocket: true, background: () => { ran.push('route') } }, (socket) => {
    echo(socket)
    socket.on('close', () => ended.open())
  })
  const client = await connect(app)

  t.equal(await ask(client, 'hello'), 'hello')
  client.terminate()
  await ended
  await app.background.idle()

  t.strictSame(ran, ['route'])
  t.strictSame(app.background.stats(), counts({ accepted: 1, completed: 1 }))
})

test('T2: a route\'s task runs once when the handler of a websocket throws', async (t, app) => {
  const ran: string[] = []
  app.get('/', { websocket: true, background: () => { ran.push('route') } }, () => { throw new Error('no') })
  const client = new WebSocket(await address(app))
  await once(client, 'close')
  await app.background.idle()

  t.strictSame(ran, ['route'])
  t.strictSame(app.background.stats(), counts({ accepted: 1, completed: 1 }))
})

test('A1: tasks that hooks of a websocket route added run after the route\'s, when the socket closes', async (t, app) => {
  const ran: string[] = []
  app.addHook('preHandler', async (_request, reply) => {
    reply.background.addTask(() => { ran.push('hook') })
  })
  app.get('/', { websocket: true, background: () => { ran.push('route') } }, echo)
  const client = await connect(app)

  t.equal(await ask(client, 'hello'), 'hello')
  t.strictSame(app.background.stats(), counts({ accepted: 2, queued: 2 }))
  client.close()
  await app.background.idle()

  t.strictSame(ran, ['route', 'hook'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 2 }))
})

test('T4: a route\'s task is discarded where a hook refuses the websocket', async (t, app) => {
  const ran: string[] = []
  app.addHook('preHandler', async (_request, reply) => reply.code(401).send('no'))
  app.get('/', { websocket: true, background: () => { ran.push('route') } }, () => { ran.push('handler') })

  const client = new WebSocket(await address(app))
  const [error] = await once(client, 'error') as [Error]
  await app.background.idle()

  t.match(error.message, '401')
  t.strictSame(ran, [])
  t.strictSame(app.background.stats(), counts({ accepted: 1, discarded: 1 }))
})

test('T4: a route\'s task is discarded where a plain request meets a websocket route', async (t, app) => {
  const ran: string[] = []
  app.get('/', { websocket: true, background: () => { ran.push('route') } }, () => { ran.push('handler') })

  const response = await fetch((await address(app)).replace('ws:', 'http:'))
  await response.text()
  await app.background.idle()

  t.equal(response.status, 404)
  t.strictSame(ran, [])
  t.strictSame(app.background.stats(), counts({ accepted: 1, discarded: 1 }))
})

test('A3: of two websockets, the one that closes runs its task, the other waits', async (t, app) => {
  const ran: string[] = []
  app.get<{ Querystring: { name: string } }>('/', {
    websocket: true,
    background: (request) => { ran.push(request.query.name) }
  }, echo)
  const first = await connect(app, '?name=first')
  const second = await connect(app, '?name=second')

  second.close()
  await until(() => ran.length > 0)
  t.strictSame(ran, ['second'])
  t.equal(await ask(first, 'still here'), 'still here')
  t.strictSame(ran, ['second'])
  first.close()
  await app.background.idle()

  t.strictSame(ran, ['second', 'first'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 2 }))
})

test('L1: close() does not wait for an open websocket to end by itself, and runs its task before it resolves', async (t, app) => {
  const ran: string[] = []
  app.get('/', { websocket: true, background: async () => { ran.push('route') } }, echo)
  const client = await connect(app)
  const closed = once(client, 'close')

  t.equal(await ask(client, 'hello'), 'hello')
  await app.close()
  await closed

  t.strictSame(ran, ['route'])
  t.strictSame(app.background.stats(), counts({ accepted: 1, completed: 1 }))
})

test('L1: close() waits for what the task of an open websocket does', async (t, app) => {
  const ran: string[] = []
  const goOn = latch()
  app.get('/', {
    websocket: true,
    background: async () => {
      ran.push('started')
      await goOn
      ran.push('finished')
    }
  }, echo)
  await connect(app)

  const closed = app.close().then(() => { ran.push('closed') })
  await until(() => ran.length > 0)
  goOn.open()
  await closed

  t.strictSame(ran, ['started', 'finished', 'closed'])
  t.strictSame(app.background.stats(), counts({ accepted: 1, completed: 1 }))
})

test('L1: close() aborts nothing where a task is at work and a websocket is open', async (t, app) => {
  const ran: string[] = []
  const goOn = latch()
  app.get('/', { websocket: true, background: () => { ran.push('route') } }, echo)
  await connect(app)
  app.background.addTask(async () => {
    ran.push('started')
    await goOn
    ran.push('finished')
  })
  await until(() => ran.length > 0)

  const closed = app.close()
  goOn.open()
  await closed

  t.strictSame(ran.toSorted(), ['finished', 'route', 'started'])
  t.strictSame(app.background.stats(), counts({ accepted: 2, completed: 2 }))
})

function echo (socket: WebSocket): void {
  socket.on('message', (message) => socket.send(String(message)))
}

async function address (app: FastifyInstance): Promise<string> {
  if (!app.server.listening) await listen(app)
  const { port } = app.server.address() as { port: number }
  return `ws://127.0.0.1:${port}/`
}

async function connect (app: FastifyInstance, query = ''): Promise<WebSocket> {
  const client = new WebSocket(await address(app) + query)
  await once(client, 'open')
  return client
}

async function ask (client: WebSocket, text: string): Promise<string> {
  const answer = once(client, 'message')
  client.send(text)
  const [message] = await answer
  return String(message)
}
