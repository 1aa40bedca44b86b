import { PassThrough } from 'node:stream'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest, type FastifyServerOptions } from 'fastify'
import background, { type When } from '../../lib/index'
import type { Gates } from './gates'
import type { Model } from './model'
import type { HandlerStep, ReplyPlan } from './program'
import type { ReplyRecord } from './records'
import type { Tasks } from './tasks'

/** The app of a program. Request number 2 of route 0 is `GET /route0/2`. */
export async function createServer (model: Model, gates: Gates, tasks: Tasks, http2: boolean): Promise<FastifyInstance> {
  const { program } = model
  const app = Fastify({
    http2,
    // Tasks find their request by their logger.
    logger: { level: 'silent' },
    genReqId: (raw) => String(indexOf(raw.url!))
  } as FastifyServerOptions)
  await app.register(background, {
    when: toWhen(model),
    settleTimeout: program.settleTimeout,
    closeTimeout: program.closeTimeout,
    onTaskError: (error, run) => model.reported(error, run)
  })
  app.addHook('onRequest', function begin (request, reply, done) {
    const record = model.replies[indexOf(request.url)]
    record.attach(request, reply)
    model.acceptedOfRoute(record, program.routes[record.plan.route].background)
    tasks.addAll(record, `r${record.index}/hook`, record.plan.hook)
    done()
  })
  app.addHook('onClose', async () => model.pluginsClose())
  for (const [i, { background, inConfig }] of program.routes.entries()) {
    const own = { background: tasks.ofRoute(background) }
    app.get(`/route${i}/:index`, inConfig ? { config: own } : own, (request, reply) => {
      const record = model.replies[indexOf(request.url)]
      model.note(`r${record.index} handler`)
      model.check()
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
    this.#known(status)
    this.#record.complete = true
    return reply.code(status).send('body')
  }

  #throw (statusCode: number): never {
    this.#known(statusCode)
    this.#record.complete = true
    throw Object.assign(new Error('handler'), { statusCode })
  }

  #giveUp (): Promise<void> {
    this.#record.complete = true
    this.#known(200)
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
    this.#known(status)
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
    this.#known(status)
    raw.on('error', () => {})
    raw.statusCode = status
    reply.hijack()
    raw.write('first')
    this.#gates.pass(`${this.#name}/hijacked`).then(() => {
      this.#record.complete = true
      raw.end('last')
    })
  }

  /** The reply comes to a status, unless it has been settled for want of one. */
  #known (status: number): void {
    const { statuses, isGone } = this.#record
    statuses.add(status)
    if (isGone && this.#model.program.settleTimeout === 1) statuses.add('none')
  }
}
