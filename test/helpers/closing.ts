import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import background from '../../lib/index'
import { listen } from './app'
import { head, rawClient, type RawClient } from './tcp'

/** Begins to close an application, and tells whether that is done. */
export function beginClose (app: FastifyInstance): { closed: Promise<void>, isClosed: () => boolean } {
  let done = false
  const closed = app.close().then(() => { done = true })
  return { closed, isClosed: () => done }
}

/** An application with a plugin on either side of this one, both of which say when they close. */
export async function withDatabases (
  t: { teardown: (fn: () => unknown) => void }, options: background.BackgroundOptions = {}, server: FastifyServerOptions = {}
): Promise<{ app: FastifyInstance, events: string[] }> {
  const events: string[] = []
  const app: FastifyInstance = Fastify(server)
  t.teardown(() => app.close())
  app.addHook('onClose', async () => { events.push('earlier database closed') })
  await app.register(background, options)
  app.addHook('onClose', async () => { events.push('later database closed') })
  app.addHook('preClose', async () => { events.push('preClose is over') })
  return { app, events }
}

export async function connectTo (app: FastifyInstance): Promise<RawClient> {
  const { port } = await listen(app)
  return await rawClient(port)
}

/** Asks on a connection that ends with the reply: one that is kept alive would keep Node's server open after it. */
export function ask (client: RawClient, path = '/'): void {
  client.socket.write(head('GET', path, { connection: 'close' }))
}
