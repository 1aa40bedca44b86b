import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import type { Test } from 'tap'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import background from '../../lib/index'
import type { RunStatus } from '../../lib/status/view'
import status from '../../lib/status/status'
import { listen } from './app'

export interface StatusApp {
  app: FastifyInstance
  url: string
  port: number
  /** Adds a task to a reply over HTTP. @returns its run, and the answer of `reply.accepted(run)`. */
  start: <R>(task: background.TaskFunction<[], R>) => Promise<{ run: background.TaskRun<Awaited<R>>, response: Response, body: RunStatus }>
  /** Asks for the status of a run. */
  ask: (run: { id: string }, init?: RequestInit) => Promise<{ status: number, headers: Headers, body: RunStatus & { code?: string, message?: string } }>
}

/** A fresh app with both plugins, listening. */
export async function createAppWithStatus (
  t: Test, options: status.StatusOptions = {}, plugin: background.BackgroundOptions = {}, server: FastifyServerOptions = {},
  prepare: (app: FastifyInstance) => unknown = () => {}
): Promise<StatusApp> {
  const app: FastifyInstance = Fastify(server)
  t.teardown(() => app.close())
  await app.register(background, plugin)
  await prepare(app)
  await app.register(status, options)
  let task: background.TaskFunction<[], unknown>
  let run!: background.TaskRun
  app.post('/start', (_request, reply) => {
    run = reply.background.addTask(task)
    return reply.accepted(run)
  })
  const { url, port } = await listen(app)
  return {
    app,
    url,
    port,
    async start (given) {
      task = given
      const response = await fetch(`${url}/start`, { method: 'POST' })
      return { run: run as never, response, body: await response.json() as RunStatus }
    },
    async ask ({ id }, init) {
      const response = await fetch(`${url}${options.prefix ?? '/tasks'}/${id}`, { redirect: 'manual', ...init })
      return { status: response.status, headers: response.headers, body: await response.json() as RunStatus }
    }
  }
}

export interface SeenEvent { id?: string, event?: string, retry?: string, comment?: boolean, data?: RunStatus }

export interface Events {
  response: Response
  /** The next one; `undefined` when the stream has ended. */
  next: () => Promise<SeenEvent | undefined>
  /** The next one with data. */
  status: () => Promise<RunStatus | undefined>
  /** All that are left. */
  rest: () => Promise<SeenEvent[]>
  leave: () => void
}

/** Opens an event stream, as a browser's EventSource would. */
export async function openEvents (url: string, headers: Record<string, string> = {}): Promise<Events> {
  // A connection of its own, that ends with it.
  const request = get(url, { agent: false, headers: { accept: 'text/event-stream', ...headers } })
  const [message] = await once(request, 'response') as [IncomingMessage]
  message.on('error', () => {}) // to leave is what some tests are about
  const response = responseOf(message)
  const reader = response.status !== 200 ? undefined : response.body?.pipeThrough(new TextDecoderStream() as never).getReader() as ReadableStreamDefaultReader<string> | undefined
  let text = ''
  const events: Events = {
    response,
    async next () {
      while (!text.includes('\n\n')) {
        const { value, done } = await reader!.read()
        if (done) return undefined
        text += value
      }
      const [first] = text.split('\n\n', 1)
      text = text.slice(first.length + 2)
      return parse(first)
    },
    async status () {
      for (;;) {
        const event = await events.next()
        if (event === undefined || event.data !== undefined) return event?.data
      }
    },
    async rest () {
      const all: SeenEvent[] = []
      for (let event = await events.next(); event !== undefined; event = await events.next()) all.push(event)
      return all
    },
    leave: () => { request.destroy() }
  }
  return events
}

function responseOf (message: IncomingMessage): Response {
  const body = message.statusCode === 204 ? null : Readable.toWeb(message) as ReadableStream
  if (body === null) message.resume()
  return new Response(body, { status: message.statusCode, headers: message.headers as Record<string, string> })
}

function parse (block: string): SeenEvent {
  const event: Record<string, unknown> = {}
  for (const line of block.split('\n')) {
    const [, field, value] = /^(\w*):? ?(.*)$/.exec(line) as string[]
    if (line.startsWith(':')) event.comment = true
    else event[field] = field === 'data' ? JSON.parse(value) : value
  }
  return event
}
