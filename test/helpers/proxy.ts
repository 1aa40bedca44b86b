import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { once } from 'node:events'

/** A way to a server that can be cut. */
export interface Proxy {
  readonly port: number
  /** Nothing gets through any more, in either direction. */
  cut (): void
  /** Nothing gets through the connections that there are, and neither side is told. New ones are not concerned. */
  swallow (): void
  /** The connections that there are end. */
  reset (): void
}

export async function startProxy (t: { teardown: (fn: () => unknown) => void }, port: number): Promise<Proxy> {
  const sockets = new Map<Socket, Socket>()
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1')
    for (const [socket, other] of [[near, far], [far, near]] as const) {
      sockets.set(socket, other)
      socket.pipe(other)
      socket.on('error', () => other.destroy())
      socket.on('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
    }
  })
  const reset = (): void => {
    for (const socket of sockets.keys()) socket.destroy()
  }
  const cut = (): void => {
    server.close()
    reset()
  }
  const swallow = (): void => {
    for (const [socket, other] of sockets) socket.unpipe(other).resume()
  }
  t.teardown(cut)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port, cut, swallow, reset }
}
