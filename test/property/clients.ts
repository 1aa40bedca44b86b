import { Agent, get, type ClientRequest } from 'node:http'
import http2, { type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2'
import { connect, type Socket } from 'node:net'
import { head } from '../helpers/tcp'

export type Transport = 'http1' | 'pipelined' | 'http2'

/** The clients of a program, over one transport. Nothing waits, and no failure is an error. */
export interface Clients {
  send (index: number, path: string): void
  /** Leaves, with a reset. Where requests share a connection that cannot be reset in part, all of them do. */
  leave (index: number): void
  /** Nothing will come any more: the reply has been read, or its connection is gone. */
  isOver (index: number): boolean
  /** All leave. */
  end (): void
  /**
   * Node's HTTP/2 server never closes a session that is lost in the very turn in which it writes a reply (seen up to
   * Node 24, without Fastify): its streams hang, and `server.close()` with them.
   */
  readonly losesSessions: boolean
}

export function createClients (transport: Transport, port: number): Clients {
  switch (transport) {
    case 'http1': return new KeepAliveClients(port)
    case 'pipelined': return new PipeliningClients(port)
    case 'http2': return new Http2Clients(port)
  }
}

function ignore (): void {}

/** Each request has a connection to itself while it lasts; later ones use it again. */
class KeepAliveClients implements Clients {
  readonly losesSessions = false
  readonly #agent = new Agent({ keepAlive: true })
  readonly #port: number
  readonly #requests = new Map<number, ClientRequest>()

  constructor (port: number) {
    this.#port = port
  }

  send (index: number, path: string): void {
    const request = get({ port: this.#port, host: '127.0.0.1', agent: this.#agent, path }, (response) => {
      response.on('error', ignore).resume()
    })
    request.on('error', ignore)
    this.#requests.set(index, request)
  }

  leave (index: number): void {
    const request = this.#requests.get(index)!
    // Once closed, its socket may serve another.
    if (request.closed) return
    request.socket?.resetAndDestroy()
    request.destroy()
  }

  isOver (index: number): boolean {
    return this.#requests.get(index)!.closed
  }

  end (): void {
    for (const index of this.#requests.keys()) this.leave(index)
    this.#agent.destroy()
  }
}

/** All requests go out on one connection, without waiting for replies; a new one once it is gone. */
class PipeliningClients implements Clients {
  readonly losesSessions = false
  readonly #port: number
  readonly #sockets = new Map<number, Socket>()
  #socket: Socket | undefined

  constructor (port: number) {
    this.#port = port
  }

  send (index: number, path: string): void {
    if (this.#socket === undefined || this.#socket.destroyed) {
      this.#socket = connect(this.#port, '127.0.0.1').on('error', ignore).resume()
    }
    this.#socket.write(head('GET', path))
    this.#sockets.set(index, this.#socket)
  }

  leave (index: number): void {
    const socket = this.#sockets.get(index)!
    if (!socket.destroyed) socket.resetAndDestroy()
  }

  isOver (index: number): boolean {
    return this.#sockets.get(index)!.closed
  }

  end (): void {
    for (const index of this.#sockets.keys()) this.leave(index)
  }
}

/** All requests share a session, and can be reset alone. */
class Http2Clients implements Clients {
  readonly losesSessions = true
  readonly #port: number
  readonly #streams = new Map<number, ClientHttp2Stream | undefined>()
  readonly #sessions: ClientHttp2Session[] = []

  constructor (port: number) {
    this.#port = port
  }

  send (index: number, path: string): void {
    let session = this.#sessions.at(-1)
    if (session === undefined || session.closed || session.destroyed) {
      session = http2.connect(`http://127.0.0.1:${this.#port}`).on('error', ignore)
      this.#sessions.push(session)
    }
    this.#streams.set(index, request(session, path))
  }

  leave (index: number): void {
    this.#streams.get(index)?.close(http2.constants.NGHTTP2_CANCEL)
  }

  isOver (index: number): boolean {
    return this.#streams.get(index)?.closed ?? true
  }

  end (): void {
    for (const session of this.#sessions) session.destroy()
  }
}

function request (session: ClientHttp2Session, path: string): ClientHttp2Stream | undefined {
  try {
    return session.request({ ':path': path }).on('error', ignore).resume()
  } catch {
    // The session is about to end.
    return undefined
  }
}
