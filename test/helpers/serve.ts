import type { FastifyInstance, FastifyReply, FastifyRequest, LightMyRequestResponse } from 'fastify'

type Work = (reply: FastifyReply, request: FastifyRequest) => unknown

/** Declares `GET /`, whose handler does `work` and replies with `ok`, and asks it once. Ask again with `app.inject('/')`. */
export async function serve (app: FastifyInstance, work: Work): Promise<LightMyRequestResponse> {
  app.get('/', async (request, reply) => {
    await work(reply, request)
    return 'ok'
  })
  return await app.inject('/')
}
