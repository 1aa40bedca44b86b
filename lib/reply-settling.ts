import type { Http2ServerResponse } from 'node:http2'
import type { Socket } from 'node:net'
import type { FastifyReply } from 'fastify'

/** Whose tasks wait for the reply. */
export interface SettlingOwner {
  /** The reply may be over: calls `check` of the settling, if a task still waits for it. */
  check (): void
  /** The reply is over, and its outcome known. Called once. */
  settled (): void
}

/**
 * Finds the moment at which a reply is over and its outcome known. Fastify's `onResponse` does not tell: it is not
 * called when the client has left (https://github.com/fastify/fastify/issues/6208), it is called on a reset HTTP/2
 * stream while the handler is still at work, and on an error of the response while bytes are pending.
 */
export class ReplySettling {
  readonly #reply: FastifyReply
  readonly #timeout: number
  readonly #owner: SettlingOwner
  #watching = false
  #closed = false
  #settled = false
  #passed: boolean
  // From the very end of the onSend chain, where what is set later is not sent; at the latest, from the settling.
  #status: number | undefined
  #timer: NodeJS.Timeout | undefined
  // Set while the reply waits behind another on its connection.
  #socket: Socket | undefined

  /**
   * @param passed Whether the reply has gone through `onSend` already.
   * @param timeout How long a reply that has ended may go without a status, in milliseconds.
   */
  constructor (reply: FastifyReply, passed: boolean, timeout: number, owner: SettlingOwner) {
    this.#reply = reply
    this.#timeout = timeout
    this.#owner = owner
    this.#passed = passed
  }

  /** Whether the status can no longer change. */
  get known (): boolean {
    return this.#passed || this.#reply.raw.headersSent || this.#reply.sent
  }

  /** Once settled: the status that was sent, or would have been; `undefined` where the handler never came to one. */
  get status (): number | undefined {
    return this.#status
  }

  /**
   * The reply goes through `onSend`.
   *
   * @param last Whether no other hook comes behind, so that the status is final.
   */
  pass (payload: unknown, last: boolean): void {
    if (this.#settled) return
    this.#passed = true
    this.#status = statusOfResponse(payload)
    // The head of a stream is sent with its first chunk.
    if (last && !isStream(payload)) this.#status ??= this.#reply.raw.statusCode
  }

  /** A hook or a stream has failed before anything was sent: the reply gets another status. */
  reopen (): void {
    if (this.#settled) return
    this.#passed = false
    this.#status = undefined
  }

  /** Settles the reply if it is over; sees to it that the question is asked again when it may be. */
  check (): void {
    if (this.#settled) return
    if (!this.#closed && !hasEnded(this.#reply)) this.#watch()
    else if (this.known) this.settle()
    else this.#timer ??= setTimeout(() => this.settle(), this.#timeout)
  }

  /** Settles a reply that is not settled yet, as it is. */
  settle (): void {
    this.#settled = true
    if (this.known) this.#status ??= this.#reply.raw.statusCode
    this.pause()
    this.#owner.settled()
  }

  /** Nobody waits for the reply any more: lets go of the timer and the socket, until the next `check`. */
  pause (): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#socket !== undefined) unwatchSocket(this.#socket, this)
  }

  /** The connection has gone, or the response is finished. */
  close (): void {
    this.#closed = true
    this.#owner.check()
  }

  #watch (): void {
    const { raw, request } = this.#reply
    if (!this.#watching) {
      raw.on('close', () => this.close())
      // An HTTP/2 client that keeps its request open keeps the response from closing.
      http2Stream(raw)?.on('finish', () => this.#owner.check())
    }
    this.#watching = true
    if (!isPipelined(this.#reply)) return
    this.#socket = request.raw.socket
    watchSocket(this.#socket, this)
  }
}

function hasEnded ({ raw, request }: FastifyReply): boolean {
  if (raw.destroyed || raw.writableFinished) return true
  const stream = http2Stream(raw)
  return stream === undefined ? request.raw.socket?.destroyed === true : stream.destroyed
}

function http2Stream (raw: unknown): Http2ServerResponse['stream'] | undefined {
  return (raw as Http2ServerResponse).stream
}

/**
 * An HTTP/1 reply that waits behind another on the same connection has no socket yet. If the connection is lost before
 * its turn, Node 20 and 22 do not emit its `close`.
 */
function isPipelined ({ raw }: FastifyReply): boolean {
  return http2Stream(raw) === undefined && raw.socket === null
}

// One listener a socket, however many replies wait.
const pipelined = new WeakMap<Socket, Set<ReplySettling>>()

function watchSocket (socket: Socket, settling: ReplySettling): void {
  let waiting = pipelined.get(socket)
  if (waiting === undefined) {
    const created = waiting = new Set()
    pipelined.set(socket, created)
    socket.once('close', () => { for (const each of created) each.close() })
  }
  waiting.add(settling)
}

function unwatchSocket (socket: Socket, settling: ReplySettling): void {
  pipelined.get(socket)?.delete(settling)
}

/** As Fastify tells streams, of Node and of the web. */
function isStream (payload: unknown): boolean {
  if (payload === null || typeof payload !== 'object') return false
  const { pipe, getReader } = payload as { pipe?: unknown, getReader?: unknown }
  return typeof pipe === 'function' || typeof getReader === 'function'
}

/** A web `Response` brings its own status, which Fastify applies after the hooks. */
function statusOfResponse (payload: unknown): number | undefined {
  if (payload === null || typeof payload !== 'object') return undefined
  if (Object.prototype.toString.call(payload) !== '[object Response]') return undefined
  return (payload as { status?: number }).status
}
