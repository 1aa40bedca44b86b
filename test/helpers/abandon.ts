import type { FastifyInstance, FastifyReply, RouteShorthandOptions } from 'fastify'
import type background from '../../lib/index'
import { createApp, listen } from './app'
import { latch } from './latch'
import { closed } from './reply'
import { head, rawClient } from './tcp'

type Test = Parameters<typeof createApp>[0]

export interface Abandoned {
  app: FastifyInstance
  /** What ran, in order. */
  ran: string[]
  /** The run of the task that was added to the reply. */
  run: background.TaskRun
  /** Lets the handler go on, if `answer` waits for it. */
  release: () => void
}

/**
 * An app with a request whose client has left while its handler was at work: with a task on the route and one on the
 * reply. `answer` is what the handler does next; `prepare` sets up the app and may return more options of the route.
 */
export async function abandon (
  t: Test, options: background.BackgroundOptions, answer: (reply: FastifyReply, released: Promise<void>) => unknown,
  prepare: (app: FastifyInstance) => RouteShorthandOptions | void = () => {}
): Promise<Abandoned> {
  const app = await createApp(t, options)
  const route = prepare(app)
  const entered = latch<background.TaskRun>()
  const left = latch()
  const released = latch()
  const ran: string[] = []
  app.get('/', { ...route, background: () => { ran.push('route') } }, async (_, reply) => {
    closed(reply).then(left.open)
    entered.open(reply.background.addTask(() => { ran.push('reply') }))
    await left
    return answer(reply, released)
  })
  const { port } = await listen(app)
  const client = await rawClient(port)
  client.socket.write(head('GET', '/'))
  const run = await entered
  client.leave()
  await left
  return { app, ran, run, release: released.open }
}
