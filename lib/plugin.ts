import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import { Background } from './background'
import { dropPayload } from './drop-payload'
import type { Engine } from './engines/engine'
import { payloadOf } from './entry'
import { resolveOptions, type ResolvedOptions } from './options'
import { ReplyQueue } from './reply-queue'
import { assertRoom, compileRouteTasks, membersOf, type RouteEntry } from './route-tasks'
import { Shutdown, slices } from './shutdown'
import type { BackgroundOptions } from './types'

const kQueue = Symbol('fastify-background.queue')
const kRouteTasks = Symbol('fastify-background.route-tasks')
const NO_TASKS: readonly RouteEntry[] = []

/** No queue yet (`undefined` below reply decorators older than ours), none yet but `onSend` has come by, or the queue. */
interface Slotted { [kQueue]: null | undefined | true | ReplyQueue }
interface RouteConfig { background?: unknown, [kRouteTasks]?: readonly RouteEntry[] }
type Done = (error?: Error) => void
/** A promise that Fastify waits for, where `done` is not called. */
type Passed = void | Promise<void>

async function fastifyBackground (app: FastifyInstance, opts: BackgroundOptions): Promise<void> {
  const options = resolveOptions(opts)
  const background = new Background(app.log, options)
  const shutdown = new Shutdown(background)

  if (options.engine !== undefined) await connectEngine(app, background, options.engine, options)

  app.decorate('background', background)
  app.decorateReply(kQueue, null)
  app.decorateReply('background', { getter (this: FastifyReply) { return queueOf(this) ?? openQueue(this) } })

  const older = hasRoutes(app)
  // Where no route has tasks, who adds one does not pay for the question. Of an older route, only its config tells.
  let mayHaveRouteTasks = older
  app.addHook('onRoute', prepareRoute)
  if (older) {
    app.log.warn('fastify-background was loaded after routes had been declared. Of those in its reach it does not see ' +
      '"background", only "config.background": register it first, and await it.')
    app.addHook('onRequest', acceptRouteTasks)
    app.addHook('onSend', function acceptRouteTasksLate (request, reply, _payload, done) {
      acceptRouteTasks(request, reply, done)
    })
  }
  app.addHook('onSend', passUnseenRoute)
  app.addHook('onError', reopen)
  app.addHook('onResponse', settleReply)
  for (const slice of slices(options.closeTimeout, app.initialConfig.pluginTimeout)) {
    app.addHook('preClose', async function drainBackground () { await shutdown.drainSlice(slice) })
  }
  app.addHook('onClose', async function drainBackgroundRest () {
    await shutdown.drainRest()
    background.closeHistory()
  })

  function prepareRoute (route: RouteOptions): void {
    const name = `Route ${String(route.method)} ${route.url}`
    const tasks = compileRouteTasks(name, route.background, route.config?.background)
    for (const task of tasks) for (const each of membersOf(task)) payloadOf(background, each.fn, each.args)
    assertRoom(name, tasks, options.maxPending)
    // Fastify sets `url` and `method` itself. Where they are new to it, the V8 of Node 20 gives each route's config a hidden
    // class of its own, and what reads them is slow.
    route.config = Object.assign({ url: route.url, method: route.method }, route.config, { [kRouteTasks]: tasks })
    if (tasks.length > 0) {
      mayHaveRouteTasks = true
      route.onRequest = [route.onRequest ?? [], acceptRouteTasks].flat()
      // Where an earlier hook has hijacked the reply, neither onRequest nor onSend comes by.
      route.onResponse = [route.onResponse ?? [], acceptRouteTasks].flat()
    }
    // Behind every other onSend hook, where the status is final: other plugins' onRoute may add some behind this one.
    // Fastify takes the hooks off the route when all plugins have loaded.
    queueMicrotask(() => { route.onSend = [route.onSend ?? [], tasks.length > 0 ? passRoute : pass].flat() })

    // V8 compiles it for each route anew, once that is busy: what it does is elsewhere.
    function passRoute (_request: FastifyRequest, reply: FastifyReply, payload: unknown, done: Done): Passed {
      return passWithRouteTasks(tasks, reply, payload, done)
    }
  }

  // Where an earlier hook has replied, the route's tasks have not been accepted yet. They come with the hook: after
  // callNotFound() the reply has another route's config.
  function passWithRouteTasks (tasks: readonly RouteEntry[], reply: FastifyReply, payload: unknown, done: Done): Passed {
    const queue = queueOf(reply) ?? openQueue(reply, tasks)
    const refusal = queue.takeRefusal()
    if (refusal !== undefined && reply.statusCode < 400) {
      queue.pass(payload, true)
      dropPayload(payload, reply.request.raw)
      done(refusal)
      return
    }
    // A hook that has turned the request away has the last word.
    if (refusal !== undefined) reply.log.warn({ err: refusal }, 'background tasks of the route refused')
    return passQueue(queue, reply, payload, true, done)
  }

  function acceptRouteTasks (_request: FastifyRequest, reply: FastifyReply, done: Done): void {
    let queue = queueOf(reply)
    if (queue === undefined) {
      const tasks = routeTasksOf(reply)
      if (tasks.length > 0) queue = openQueue(reply, tasks)
    }
    // An earlier hook may have opened the queue, but the refusal is for the client.
    done(queue?.takeRefusal())
  }

  // Runs before the hooks of a route. Where no `onRoute` could put `pass` behind them, in a 404 and on older routes,
  // this is the end of the chain as far as it can be seen.
  function passUnseenRoute (request: FastifyRequest, reply: FastifyReply, payload: unknown, done: Done): Passed {
    if (request.is404 || (older && configOf(reply)[kRouteTasks] === undefined)) return markPassed(reply, payload, false, done)
    done()
  }

  // The route's tasks are accepted at the first look at the queue, so that they are first in it (A1).
  function openQueue (reply: FastifyReply, tasks = mayHaveRouteTasks ? routeTasksOf(reply) : NO_TASKS): ReplyQueue {
    const queue = new ReplyQueue(background, reply, slotOf(reply) === true)
    setSlot(reply, queue)
    if (tasks.length > 0) queue.addRouteTasks(tasks)
    return queue
  }
}

async function connectEngine (app: FastifyInstance, background: Background, engine: Engine, options: ResolvedOptions): Promise<void> {
  // Loaded only where there is an engine.
  const { Durable }: typeof import('./engines/durable') = require('./engines/durable')
  const durable = background.durable = new Durable(background, engine, options)
  // One that does not open may be at work for another application. One that is still opening is closed behind that.
  let isOurs = true
  app.addHook('onReady', async function startEngine () { if (options.worker) await engine.work(durable) })
  app.addHook('preClose', async function stopEngine () { if (isOurs) await durable.stop() })
  // Behind the last runs: onClose hooks run in reverse.
  app.addHook('onClose', async function closeEngine () { if (isOurs) await engine.close() })
  try {
    await engine.open(app.log)
  } catch (error) {
    isOurs = false
    throw error
  }
}

function pass (_request: FastifyRequest, reply: FastifyReply, payload: unknown, done: Done): Passed {
  return markPassed(reply, payload, true, done)
}

function markPassed (reply: FastifyReply, payload: unknown, last: boolean, done: Done): Passed {
  const queue = queueOf(reply)
  if (queue !== undefined) return passQueue(queue, reply, payload, last, done)
  setSlot(reply, true)
  done()
}

// A reply with durable tasks goes on when they are stored (D1).
function passQueue (queue: ReplyQueue, reply: FastifyReply, payload: unknown, last: boolean, done: Done): Passed {
  const storing = queue.store(payload)
  if (storing !== undefined) {
    return storing.then(() => queue.pass(payload, last), (error) => {
      dropPayload(payload, reply.request.raw)
      throw error
    })
  }
  queue.pass(payload, last)
  done()
}

function reopen (_request: FastifyRequest, reply: FastifyReply, _error: Error, done: Done): void {
  const queue = queueOf(reply)
  if (queue === undefined) setSlot(reply, null)
  else queue.reopen()
  done()
}

function settleReply (_request: FastifyRequest, reply: FastifyReply, done: Done): void {
  queueOf(reply)?.check()
  done()
}

function slotOf (reply: FastifyReply): Slotted[typeof kQueue] {
  return (reply as unknown as Slotted)[kQueue]
}

function setSlot (reply: FastifyReply, slot: ReplyQueue | true | null): void {
  (reply as unknown as Slotted)[kQueue] = slot
}

function queueOf (reply: FastifyReply): ReplyQueue | undefined {
  const slot = slotOf(reply)
  return slot === true ? undefined : slot ?? undefined
}

function configOf (reply: FastifyReply): RouteConfig {
  return reply.request.routeOptions.config
}

function routeTasksOf (reply: FastifyReply): readonly RouteEntry[] {
  return configOf(reply)[kRouteTasks] ?? earlyRouteTasksOf(reply)
}

// Of a route that is older than the plugin, `config` is all that is left to read (A2).
function earlyRouteTasksOf (reply: FastifyReply): readonly RouteEntry[] {
  return compileRouteTasks(`Route ${reply.request.method} ${reply.request.url}`, configOf(reply).background)
}

function hasRoutes (app: FastifyInstance): boolean {
  return !app.printRoutes().startsWith('(empty tree)')
}

export const plugin: FastifyPluginAsync<BackgroundOptions> =
  fp(fastifyBackground, { fastify: '5.x', name: 'fastify-background' })
