// A mail server on the loopback interface, so that the mails of the examples are real and go nowhere.
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { SMTPServer } from 'smtp-server'

// Mail servers take their time, and that is why mails are sent in the background: so does this one.
const DELAY_MS = 40

export interface Mail { to: string, subject: string }

export interface Mailbox {
  host: string
  port: number
  /** Refuses the next mails, as servers do that are busy or do not know the sender yet: not now, try again. */
  refuseNext: (mails: number) => void
  /** Takes no mail until the function that it returns is called. */
  hold: () => () => void
  close: () => Promise<void>
}

export async function openMailbox (onMail: (mail: Mail) => void): Promise<Mailbox> {
  // Who has hung up.
  const gone = new Set<string>()
  let refusals = 0
  let door = Promise.resolve()
  const server = new SMTPServer({
    disabledCommands: ['AUTH', 'STARTTLS'],
    disableReverseLookup: true,
    onClose: ({ id }) => { gone.add(id) },
    onData (stream, session, callback) {
      receive().then(() => callback(), callback)

      async function receive (): Promise<void> {
        const message = await text(stream)
        if (refusals > 0) {
          refusals--
          throw Object.assign(new Error('Greylisted, try again later'), { responseCode: 451 })
        }
        await door
        await sleep(DELAY_MS)
        // Nobody would hear that it was taken, and whoever sent it will send it again.
        if (gone.has(session.id)) throw new Error('the sender has hung up')
        const to = session.envelope.rcptTo.map(({ address }) => address).join(', ')
        onMail({ to, subject: /^subject: (.*)$/im.exec(message)?.[1].trim() ?? '(none)' })
      }
    }
  })
  const host = '127.0.0.1'
  await once(server.listen(0, host), 'listening')
  const { port } = server.server.address() as AddressInfo

  return {
    host,
    port,
    refuseNext: (mails) => { refusals = mails },
    hold () {
      let open!: () => void
      door = new Promise((resolve) => { open = resolve })
      return open
    },
    close: () => new Promise((resolve) => { server.close(resolve) })
  }
}
