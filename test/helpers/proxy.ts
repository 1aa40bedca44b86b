import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { once } from 'node:events'

/** A way to a server that can be cut. */
export interface Proxy {
  readonly port: number
  /** Nothing gets through any more, in either direction. */
  cut (): void
  /** Nothing gets through the connections that there are, and neither side is told. New ones are not concerned. */
  swallow (): void
  /** The same of the first connection that sends this, from then on. @returns a promise for that. */
  swallowAt (text: string): Promise<void>
  /** The connections that there are end. */
  reset (): void
}

interface Snare {
  readonly text: string
  readonly caught: () => void
}

export async function startProxy (t: { teardown: (fn: () => unknown) => void }, port: number): Promise<Proxy> {
  const sockets = new Map<Socket, Socket>()
  let snare: Snare | undefined
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1')
    near.on('data', (chunk) => {
      if (snare === undefined || !chunk.includes(snare.text)) return
      near.unpipe(far).resume()
      far.unpipe(near).resume()
      snare.caught()
      snare = undefined
    })
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
  const swallowAt = async (text: string): Promise<void> => {
    await new Promise<void>((resolve) => { snare = { text, caught: resolve } })
  }
  t.teardown(cut)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port, cut, swallow, swallowAt, reset }
}
