import type { FastifyInstance, FastifyReply, FastifyRequest, RouteShorthandOptions } from 'fastify'
import type { Background } from '../background'
import { isRunId } from '../run-id'
import type { Feed } from './feed'
import type { ListName } from './frame'
import { addHeaders, HEADERS, refuseCrossSite } from './guard'
import type { ResolvedDashboardOptions } from './options'
import type { Overview } from './overview'
import type { Asset } from './page'
import type { StoredTasks } from './stored'

export interface RoutesOptions {
  readonly background: Background
  readonly options: ResolvedDashboardOptions
  readonly page: readonly Asset[]
  readonly feed: Feed
  readonly overview: Overview
  readonly stored: StoredTasks | undefined
}

interface Query { list?: unknown, search?: unknown, limit?: unknown }
interface ById { Params: { id: string } }

const LISTS: readonly ListName[] = ['running', 'waiting', 'failed']
const MAX_LIMIT = 1_000
const MAX_SEARCH = 200

/** The page, its data, and the two things that it can do. Nothing of it is in the application's own schemas. */
export async function dashboardRoutes (
  app: FastifyInstance, { background, options, page, feed, overview, stored }: RoutesOptions
): Promise<void> {
  app.addHook('onSend', addHeaders)
  // The application may have other ideas of JSON, or none. Nothing is read of it here.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, _body, done) => done(null))

  // A HEAD of the feed would have no end. `hide` is for @fastify/swagger.
  const reading = { ...options.hooks, exposeHeadRoute: false, schema: { hide: true } } as RouteShorthandOptions
  const changing: RouteShorthandOptions = { ...reading, onRequest: [refuseCrossSite, reading.onRequest ?? []].flat() }

  for (const asset of page) {
    const isIndex = asset.name === 'index.html'
    app.get(isIndex ? '/' : `/${asset.name}`, reading, async function sendAsset (request, reply) {
      // As the browser has it: "rewriteUrl" may have changed it.
      const path = request.originalUrl.split('?', 1)[0]
      // The page asks for what is beside it.
      if (isIndex && !path.endsWith('/')) return reply.redirect(`${path.slice(path.lastIndexOf('/') + 1)}/`, 308)
      reply.headers({ etag: asset.etag, 'cache-control': 'no-cache' })
      if (request.headers['if-none-match'] === asset.etag) return reply.code(304).send()
      return reply.type(asset.type).send(asset.body)
    })
  }

  app.get('/feed', reading, async function openFeed (request, reply) {
    // The page asks again, in some seconds: another process may be there by then.
    if (feed.isClosed) return reply.code(204).send()
    if (feed.isFull) return send(reply, 503, { message: 'too many pages are open' })
    reply.hijack()
    reply.raw.writeHead(200, {
      ...reply.getHeaders() as Record<string, string>,
      ...HEADERS,
      'content-type': 'text/event-stream',
      'cache-control': 'no-store, no-transform',
      // A proxy is not to collect frames (https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_buffering).
      'x-accel-buffering': 'no',
      // HTTP/2 has no such header.
      ...request.raw.httpVersionMajor === 1 && { connection: 'close' }
    })
    feed.add(reply)
  })

  app.get<{ Querystring: Query }>('/runs', reading, async function findRuns ({ query, log }, reply) {
    const limit = Number(query.limit ?? MAX_LIMIT)
    const { list, search } = query
    const isSearch = typeof search === 'string' && search !== '' && search.length <= MAX_SEARCH
    if (!(limit >= 1 && limit <= MAX_LIMIT && Number.isInteger(limit)) || isSearch === LISTS.includes(list as ListName)) {
      return send(reply, 400, { message: `expected "search" (a text) or "list" (${LISTS.join(', ')}), and a "limit" of at most ${MAX_LIMIT}` })
    }
    return await ask(log, reply, async () => isSearch ? await overview.search(search, limit) : await overview.list(list as ListName, limit))
  })

  app.get<ById>('/runs/:id', reading, async function findRun ({ params, log }, reply) {
    return await ask(log, reply, async () => await overview.detail(params.id))
  })

  app.post<ById>('/runs/:id/cancel', changing, async function cancelRun ({ params: { id }, log }, reply) {
    return await change(log, reply, id, 'cancelled', async () => await background.cancel(id))
  })

  app.post<ById>('/runs/:id/retry', changing, async function retryRun ({ params: { id }, log }, reply) {
    return await change(log, reply, id, 'retried', async () => await background.retry(id))
  })

  async function change (log: FastifyRequest['log'], reply: FastifyReply, id: string, what: string, act: () => Promise<boolean>) {
    return await ask(log, reply, async () => {
      if (!isRunId(id) || !await act()) return undefined
      stored?.expire()
      log.info({ taskId: id }, `background task ${what} from the dashboard`)
      return { [what]: true }
    })
  }
}

/** What only the engine knows may not be there to know. */
async function ask (log: FastifyRequest['log'], reply: FastifyReply, question: () => Promise<object | undefined>) {
  let answer
  try {
    answer = await question()
  } catch (err) {
    log.warn({ err }, 'the engine did not answer the dashboard')
    return send(reply, 503, { message: 'the engine does not answer' })
  }
  return answer === undefined ? send(reply, 404, { message: 'there is no such run, or it is over' }) : send(reply, 200, answer)
}

// As text: the application's own serializers are for its own objects.
function send (reply: FastifyReply, status: number, body: object): FastifyReply {
  return reply.code(status).header('cache-control', 'no-store').type('application/json; charset=utf-8').send(JSON.stringify(body))
}
