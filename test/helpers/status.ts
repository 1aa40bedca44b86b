import type { Test } from 'tap'
import type { FastifyInstance } from 'fastify'
import type background from '../../lib/index'
import { createApp, listen } from './app'

/**
 * An app whose replies have the status that their path says, with a task on the route and one on the reply, and a
 * function that asks for such a reply and says which of the two ran.
 */
export async function createStatusApp (
  t: Test, options: background.BackgroundOptions = {}
): Promise<{ app: FastifyInstance, ask: (path: string, method?: string) => Promise<string[]> }> {
  const app = await createApp(t, options)
  let ran: string[] = []
  app.get<{ Params: { status: number } }>('/:status', { background: () => { ran.push('route') } }, async (request, reply) => {
    reply.background.addTask(() => { ran.push('reply') })
    return reply.code(Number(request.params.status)).send()
  })
  const { url } = await listen(app)
  async function ask (path: string, method = 'GET'): Promise<string[]> {
    ran = []
    const response = await fetch(url + path, { method, redirect: 'manual' })
    t.equal(response.status, Number(path.slice(1)))
    await app.background.idle()
    return ran
  }
  return { app, ask }
}
