import type { EventEmitter } from 'node:events'
import type { Http2ServerResponse, ServerHttp2Stream } from 'node:http2'
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
  // Set while an event of the connection may be the only one that tells of the end.
  #connection: EventEmitter | undefined

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

  /** The status that was sent, or would be by now; `undefined` where the handler never came to one. */
  get status (): number | undefined {
    return this.#settled ? this.#status : this.#status ?? this.#reply.raw.statusCode
  }

  /** A reply with this payload is on its way through `onSend`: it may bring a status. */
  preview (payload: unknown): void {
    if (!this.#settled) this.#status = statusOfResponse(payload)
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

  /** Nobody waits for the reply any more: lets go of the timer and the connection, until the next `check`. */
  pause (): void {
    if (this.#timer !== undefined) {
      clearTimeout(this.#timer)
      this.#timer = undefined
    }
    if (this.#connection !== undefined) waiting.get(this.#connection)?.delete(this)
  }

  /** Something has happened that may have been the end. */
  ask (): void {
    this.#owner.check()
  }

  #watch (): void {
    const { raw, request } = this.#reply
    const stream = http2Stream(raw)
    if (!this.#watching) {
      this.#watching = true
      raw.on('close', () => {
        this.#closed = true
        this.ask()
      })
      // An HTTP/2 client that keeps its request open keeps the response from closing.
      stream?.on('finish', () => this.ask())
      // One of them comes when the stream is cut, unless a part of the request's body is never read.
      stream?.on('aborted', () => this.ask())
      stream?.on('end', () => this.ask())
    }
    // After its `goaway`, a session that has but cut streams stops reading: it does not see the connection close.
    if (stream?.session !== undefined) this.#watchConnection(stream.session, 'goaway')
    // An HTTP/1 reply that waits behind another on the same connection has no socket yet. If the connection is lost
    // before its turn, Node 20 and 22 do not emit its `close`.
    else if (stream === undefined && raw.socket === null) this.#watchConnection(request.raw.socket, 'close')
  }

  #watchConnection (connection: EventEmitter, event: string): void {
    this.#connection = connection
    let settlings = waiting.get(connection)
    if (settlings === undefined) {
      const created = settlings = new Set<ReplySettling>()
      waiting.set(connection, created)
      connection.on(event, () => { for (const each of created) each.ask() })
    }
    settlings.add(this)
  }
}

// One listener a connection, however many replies wait.
const waiting = new WeakMap<EventEmitter, Set<ReplySettling>>()

function hasEnded ({ raw, request }: FastifyReply): boolean {
  if (raw.destroyed || raw.writableFinished) return true
  const stream = http2Stream(raw)
  if (stream === undefined) return request.raw.socket?.destroyed === true
  return stream.destroyed || isCut(stream, raw.writableEnded)
}

/**
 * Whether an HTTP/2 stream was closed before its reply was sent in full. If the client has reset it with NO_ERROR, as
 * clients of Node do, Node waits for ever for the rest to be sent, and emits neither `finish` nor `close`. The stream of
 * a response is otherwise closed after its `finish`; one that a handler ends itself, behind the response, before it.
 */
function isCut (stream: ServerHttp2Stream, ended: boolean): boolean {
  return stream.closed && (ended || stream.aborted)
}

function http2Stream (raw: unknown): ServerHttp2Stream | undefined {
  return (raw as Partial<Http2ServerResponse>).stream
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
