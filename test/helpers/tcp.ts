import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/** A client that says exactly what it is told to, and can leave at any moment. */
export interface RawClient {
  socket: Socket
  /** What has arrived so far. */
  received: () => string
  /** Resolves when what has arrived contains `text`. */
  receives: (text: string) => Promise<void>
  /** Leaves with a reset, at once. */
  leave: () => void
}

export async function rawClient (port: number): Promise<RawClient> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {}) // a reset is what some tests are about
  await once(socket, 'connect')
  let text = ''
  socket.setEncoding('latin1').on('data', (chunk: string) => { text += chunk })
  return {
    socket,
    received: () => text,
    async receives (expected) {
      while (!text.includes(expected)) await once(socket, 'data')
    },
    leave: () => socket.resetAndDestroy()
  }
}

/** The head of a request without a body, for `socket.write`. */
export function head (method: string, path: string, headers: Record<string, string> = {}): string {
  const lines = Object.entries({ host: 'localhost', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`
}
