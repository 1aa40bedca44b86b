import { PassThrough } from 'node:stream'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest, type FastifyServerOptions } from 'fastify'
import background, { type When } from '../../lib/index'
import { hasCode } from './attempts'
import type { Gates } from './gates'
import type { Model } from './model'
import type { HandlerStep, ReplyPlan } from './program'
import type { ReplyRecord } from './records'
import type { Tasks } from './tasks'

/** The app of a program. Request number 2 of route 0 is `GET /route0/2`. */
export async function createServer (model: Model, gates: Gates, tasks: Tasks, http2: boolean): Promise<FastifyInstance> {
  const { program } = model
  const app = Fastify({ http2 } as FastifyServerOptions)
  const { settleTimeout, closeTimeout, concurrency, maxPending, policy: { delay, jitter, ...policy } } = program
  await app.register(background, {
    when: toWhen(model),
    settleTimeout,
    closeTimeout,
    concurrency,
    maxPending,
    ...policy,
    backoff: { delay, jitter },
    onTaskError: (error, run) => model.reported(error, run)
  })
  const recordOf = (request: FastifyRequest): ReplyRecord => model.replies[indexOf(request.url)]
  app.addHook('onRequest', function begin (request, reply, done) {
    const record = recordOf(request)
    record.attach(request, reply)
    model.arrives(record, program.routes[record.plan.route].background)
    for (const [i, plan] of record.plan.hook.entries()) {
      const error = tasks.add(record, `r${record.index}/hook/${i}`, plan)
      if (error === undefined) continue
      record.isRefused = true
      return done(error as Error)
    }
    model.passesHooks(record)
    done()
  })
  app.addHook('onError', function refuse (request, reply, error, done) {
    if (hasCode(error, 'QUEUE_FULL') || hasCode(error, 'CLOSED')) model.refusedRequest(recordOf(request), error)
    done()
  })
  app.addHook('onSend', function look (request, reply, payload, done) {
    if (recordOf(request).isRefused) model.refusal(reply)
    done()
  })
  app.addHook('onClose', async () => model.pluginsClose())
  for (const [i, { background, inConfig }] of program.routes.entries()) {
    const own = { background: tasks.ofRoute(i, background) }
    app.get(`/route${i}/:index`, inConfig ? { config: own } : own, (request, reply) => {
      const record = recordOf(request)
      model.handles(record)
      return new Handler(model, gates, tasks, record).handle(request, reply)
    })
  }
  return app
}

export function pathOf ({ index, plan }: ReplyRecord): string {
  return `/route${plan.route}/${index}`
}

export function indexOf (url: string): number {
  return Number(url.split('/')[2])
}

function toWhen ({ program, whenError }: Model): When | undefined {
  switch (program.when) {
    case 'default': return undefined
    case 'odd': return (request) => indexOf(request.url) % 2 === 1
    case 'throws': return () => { throw whenError }
    default: return program.when
  }
}

/** What a handler does, by its plan. */
class Handler {
  readonly #model: Model
  readonly #gates: Gates
  readonly #tasks: Tasks
  readonly #record: ReplyRecord
  readonly #name: string

  constructor (model: Model, gates: Gates, tasks: Tasks, record: ReplyRecord) {
    this.#model = model
    this.#gates = gates
    this.#tasks = tasks
    this.#record = record
    this.#name = `r${record.index}`
  }

  handle (request: FastifyRequest, reply: FastifyReply): unknown {
    const { style, before, reply: plan, after } = this.#record.plan.handler
    if (style === 'plain') {
      for (const [i, step] of before.entries()) if (step !== 'wait') this.#tasks.add(this.#record, `${this.#name}/${i}`, step)
      this.#goOn(after)
      return this.#reply(plan, request, reply)
    }
    return this.#steps(before, this.#name).then(() => {
      this.#goOn(after)
      return this.#reply(plan, request, reply)
    })
  }

  async #steps (steps: readonly HandlerStep[], name: string): Promise<void> {
    for (const [i, step] of steps.entries()) {
      if (step === 'wait') await this.#gates.pass(`${name}/${i}`)
      else this.#tasks.add(this.#record, `${name}/${i}`, step)
    }
  }

  /** What is done once the handler has replied. */
  async #goOn (steps: readonly HandlerStep[]): Promise<void> {
    await null
    await this.#steps(steps, `${this.#name}/after`)
  }

  #reply (plan: ReplyPlan, request: FastifyRequest, reply: FastifyReply): unknown {
    this.#model.note(`${this.#name} replies: ${plan.kind}`)
    switch (plan.kind) {
      case 'never': return new Promise(() => {})
      case 'give up': return this.#giveUp()
      case 'throw': return this.#throw(plan.status)
      case 'string': return this.#string(plan.status, reply)
      case 'stream': return this.#stream(plan, reply)
      case 'hijack': return this.#hijack(plan.status, reply)
    }
  }

  #string (status: number, reply: FastifyReply): unknown {
    this.#model.known(this.#record, status)
    this.#record.complete = true
    return reply.code(status).send('body')
  }

  #throw (statusCode: number): never {
    this.#model.known(this.#record, statusCode)
    this.#record.complete = true
    throw Object.assign(new Error('handler'), { statusCode })
  }

  #giveUp (): Promise<void> {
    this.#record.complete = true
    this.#model.known(this.#record, 200)
    // Fastify sends an empty reply, unless it has seen that the client left.
    return Promise.resolve()
  }

  #stream ({ status, fails }: ReplyPlan & { kind: 'stream' }, reply: FastifyReply): unknown {
    const stream = new PassThrough()
    // Where the client has left, Fastify has destroyed it.
    stream.on('error', () => {})
    if (fails !== 'at once') stream.write('first')
    this.#gates.pass(`${this.#name}/stream`).then(() => {
      this.#record.complete = true
      if (fails === 'never') stream.end('last')
      else this.#fail(stream, status, reply)
    })
    this.#model.known(this.#record, status)
    return reply.code(status).send(stream)
  }

  /** A stream that fails before its first byte is answered with an error. */
  #fail (stream: PassThrough, status: number, reply: FastifyReply): void {
    const { statuses, isGone, plan } = this.#record
    if (!reply.raw.headersSent) {
      // It is certain that no byte is on its way only where there is none.
      const certain = !isGone && (plan.handler.reply as { fails?: string }).fails === 'at once'
      if (certain) statuses.delete(status)
      statuses.add(status >= 400 ? status : 500)
    }
    stream.destroy(new Error('stream'))
  }

  #hijack (status: number, reply: FastifyReply): void {
    const { raw } = reply
    this.#model.known(this.#record, status)
    raw.on('error', () => {})
    raw.statusCode = status
    reply.hijack()
    raw.write('first')
    this.#gates.pass(`${this.#name}/hijacked`).then(() => {
      this.#record.complete = true
      raw.end('last')
    })
  }
}
