import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Background } from '../background'
import { MAX_TIMER_DELAY } from '../checks'
import {
  FST_ERR_BACKGROUND_ENGINE_AWAY, FST_ERR_BACKGROUND_RUN_FINISHED, FST_ERR_BACKGROUND_RUN_NOT_FOUND
} from '../errors'
import { hasLeft } from '../has-left'
import { isRunId } from '../run-id'
import type { TaskSnapshot } from '../types'
import type { Changes } from './changes'
import { EventStream, type ServerEvent } from './event-stream'
import { Follower } from './follower'
import type { ResolvedStatusOptions } from './options'
import { waitOf, wantsEvents } from './preferences'
import { DELETE_SCHEMA, GET_SCHEMA } from './schemas'
import { isFinal, toStatus, versionOf } from './view'

// How long a listener has for what is left for it when the application closes.
const LAST_EVENT_MS = 1_000

interface ById { Params: { id: string } }

/** `GET` and `DELETE` of `/:id`. */
export function addRoutes (app: FastifyInstance, background: Background, changes: Changes, options: ResolvedStatusOptions): void {
  // The schemas are for documents. The application's own compilers may take others than JSON schemas, and what its error
  // handler or its `preSerialization` hooks make of a reply is not to be cut to them.
  app.setValidatorCompiler(() => () => true)
  app.setSerializerCompiler(() => toJson)

  // Of a body nothing is made, whatever a client says of it.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, _body, done) => done(null))

  // A wait and a stream take as long as they take.
  const { handlerTimeout } = app.initialConfig as { handlerTimeout?: number }
  const unlimited = handlerTimeout ? { handlerTimeout: MAX_TIMER_DELAY } : {}

  app.get<ById>('/:id', { schema: GET_SCHEMA, ...unlimited }, async function getStatus (request, reply) {
    const run = await findRun(request, reply)
    if (request.method === 'HEAD') return answer(reply, run)
    if (wantsEvents(request.headers.accept)) return sendEvents(request, reply, run)
    return answer(reply, await waited(request, reply, run))
  })

  app.delete<ById>('/:id', { schema: DELETE_SCHEMA }, async function cancelTask (request, reply) {
    const before = await findRun(request, reply)
    const accepted = await asked(() => background.cancel(before.id))
    const known = await asked(() => background.find(before.id))
    const run = accepted ? known ?? { ...before, state: 'cancelled' } : known
    if (run === undefined) throw new FST_ERR_BACKGROUND_RUN_NOT_FOUND()
    // To cancel it once more changes nothing.
    if (!accepted && run.state !== 'cancelled') throw new FST_ERR_BACKGROUND_RUN_FINISHED(run.state)
    reply.code(isFinal(run) ? 200 : 202)
    return toStatus(run, options)
  })

  async function findRun (request: FastifyRequest<ById>, reply: FastifyReply): Promise<TaskSnapshot> {
    // A 404 may become another reply, too.
    reply.header('cache-control', 'no-store')
    const { id } = request.params
    const run = isRunId(id) ? await asked(() => background.find(id)) : undefined
    if (run === undefined || !await isAuthorized(request, run)) throw new FST_ERR_BACKGROUND_RUN_NOT_FOUND()
    return run
  }

  async function isAuthorized (request: FastifyRequest, run: TaskSnapshot): Promise<boolean> {
    return options.authorize === undefined || await options.authorize(request, run) === true
  }

  async function asked<T> (question: () => Promise<T>): Promise<T> {
    try {
      return await question()
    } catch (cause) {
      throw Object.assign(new FST_ERR_BACKGROUND_ENGINE_AWAY(), { cause })
    }
  }

  function answer (reply: FastifyReply, run: TaskSnapshot): FastifyReply {
    const status = toStatus(run, options)
    if (!isFinal(run)) reply.header('retry-after', options.retryAfter)
    if (status.location !== undefined) reply.code(303).header('location', status.location)
    return reply.type('application/json; charset=utf-8').send(status)
  }

  /** The run as it is, or, if the client would rather wait, as it is when it is over or the time is. */
  async function waited (request: FastifyRequest, reply: FastifyReply, run: TaskSnapshot): Promise<TaskSnapshot> {
    const wish = waitOf(request.headers.prefer as string | undefined)
    if (wish === undefined) return run
    const seconds = Math.min(wish, options.maxWait)
    reply.header('preference-applied', `wait=${seconds}`)
    if (isFinal(run) || seconds === 0 || hasLeft(reply)) return run
    return await new Promise((resolve) => {
      let last = run
      const done = (): void => {
        clearTimeout(timer)
        follower.stop()
        reply.raw.off('close', done)
        resolve(last)
      }
      const follower = new Follower(changes, run.id, (id) => background.find(id), options.interval, {
        see (seen) {
          last = seen
          if (isFinal(seen)) done()
        },
        beat: () => { if (hasLeft(reply)) done() },
        lost: done
      })
      const timer = setTimeout(done, seconds * 1_000)
      reply.raw.once('close', done)
    })
  }

  function sendEvents (request: FastifyRequest, reply: FastifyReply, run: TaskSnapshot): FastifyReply {
    const known = request.headers['last-event-id']
    const first = eventOf(run)
    // It tells an EventSource not to come again.
    if (isFinal(run) && known === first.id) return reply.code(204).send()
    let last = known
    const follower = isFinal(run)
      ? undefined
      : new Follower(changes, run.id, (id) => background.find(id), options.interval, {
        see: write,
        beat: () => hasLeft(reply) ? stream.destroy() : stream.beat(),
        lost: () => {
          stream.finish()
          // One that does not read would keep the server open.
          cut = setTimeout(() => reply.raw.destroy(), LAST_EVENT_MS)
        }
      })
    const stream = new EventStream(options.retryAfter * 1_000, () => follower?.stop())
    let cut: NodeJS.Timeout | undefined
    // Whatever other hooks have made of the stream.
    reply.raw.once('close', () => {
      clearTimeout(cut)
      stream.destroy()
    })
    write(run)
    return reply.type('text/event-stream')
      // A proxy is neither to collect the events nor to change them.
      .header('cache-control', 'no-store, no-transform')
      .header('x-accel-buffering', 'no')
      .send(stream)

    function write (seen: TaskSnapshot): void {
      const event = eventOf(seen)
      if (isFinal(seen)) stream.finish(event)
      else if (event.id !== last) stream.write(event)
      last = event.id
    }
  }

  function eventOf (run: TaskSnapshot): ServerEvent {
    const data = JSON.stringify(toStatus(run, options))
    return { id: versionOf(data), event: isFinal(run) ? 'end' : undefined, data }
  }
}

function toJson (data: unknown): string {
  if (!(data instanceof Error)) return JSON.stringify(data)
  // From Fastify's own error handler.
  const { statusCode, code, error, message } = data as Error & Record<string, unknown>
  return JSON.stringify({ statusCode, code, error, message })
}
