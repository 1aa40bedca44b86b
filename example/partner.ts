// A partner's server on the loopback interface: it has two pages of its catalog at hand, and all else hangs.
import { EventEmitter, once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

const AT_HAND = ['/catalog/1', '/catalog/2']

export interface Partner {
  url: string
  /** Emits `hangs` for a call that gets no answer, and `gone` when the caller has hung up. */
  calls: EventEmitter<{ hangs: [call: string], gone: [call: string] }>
  close: () => Promise<void>
}

export async function openPartner (onCall: (call: string) => void): Promise<Partner> {
  const calls: Partner['calls'] = new EventEmitter()
  calls.on('hangs', (call) => onCall(`${call}: no answer`))
  calls.on('gone', (call) => onCall(`${call}: the caller has hung up`))
  const server = createServer(({ method, url = '' }, response) => {
    if (AT_HAND.includes(url)) {
      response.end('["tea", "coffee"]')
      return
    }
    calls.emit('hangs', `${method} ${url}`)
    response.on('close', () => calls.emit('gone', `${method} ${url}`))
  })
  const host = '127.0.0.1'
  await once(server.listen(0, host), 'listening')
  const { port } = server.address() as AddressInfo

  return {
    url: `http://${host}:${port}`,
    calls,
    async close () {
      server.closeAllConnections()
      await once(server.close(), 'close')
    }
  }
}
