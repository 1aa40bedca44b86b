import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { Background } from '../background'
import { describe } from '../describe'
import { FST_ERR_BACKGROUND_INVALID_TASK } from '../errors'
import type { TaskRun } from '../types'
import { Changes } from './changes'
import { hooksOf, resolveStatusOptions, type StatusOptions } from './options'
import { addRoutes } from './routes'
import { toStatus } from './view'

async function fastifyBackgroundStatus (app: FastifyInstance, opts: StatusOptions): Promise<void> {
  const options = resolveStatusOptions(opts)
  const { prefix, retryAfter, logLevel, logSerializers } = options
  const background = app.background as Background
  // What has finished is asked for, too.
  background.keepHistory()
  const changes = new Changes(background, options)
  const answered = new WeakSet<FastifyReply>()
  let path = ''

  app.decorateReply('accepted', function accepted (this: FastifyReply, run: TaskRun): FastifyReply {
    assertRun(run)
    answered.add(this)
    return this.code(202)
      .header('location', `${withParams(path, this.request)}/${run.id}`)
      .header('retry-after', retryAfter)
      .header('cache-control', 'no-store')
      .send(toStatus(run, options))
  })
  app.addHook('onError', async function takeBack (_request, reply) {
    // It is no 202 after all: its tasks could not be stored, or a hook has failed.
    if (answered.delete(reply)) reply.removeHeader('location').removeHeader('retry-after')
  })
  app.addHook('preClose', async function endListeners () { changes.close() })

  await app.register(async function statusRoutes (routes) {
    // As it is in a URL: that of the instance may be of any letters.
    path = encodeURI(routes.prefix)
    for (const [name, hook] of hooksOf(options)) routes.addHook(name as 'onRequest', hook as never)
    addRoutes(routes, background, changes, options)
  }, { prefix, logLevel, logSerializers })
}

/** The path with the parameters of a request below the same prefix, as `:tenant` or `:tenant(^\w+)`. */
function withParams (path: string, { params }: FastifyRequest): string {
  return path.replace(/:(\w+)(\([^/]*\))?/g, (_, name: string) => encodeURIComponent((params as Record<string, string>)[name]))
    // An empty one at the beginning would make the next part the name of a host.
    .replace(/^\/+(?=\/|$)/, '')
}

function assertRun (run: unknown): void {
  if (typeof (run as TaskRun | undefined)?.id === 'string' && typeof (run as TaskRun).state === 'string') return
  throw new FST_ERR_BACKGROUND_INVALID_TASK('reply.accepted()', 'a run, as addTask() returns', describe(run))
}

export const plugin: FastifyPluginAsync<StatusOptions> = fp(fastifyBackgroundStatus, {
  fastify: '5.x', name: 'fastify-background/status', dependencies: ['fastify-background']
})
