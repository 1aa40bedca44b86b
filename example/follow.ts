// Follows a task over HTTP, by the events of its status.
import assert from 'node:assert'
import type { RunStatus } from 'fastify-background/status'

/** Calls `see` at each change. @returns the outcome */
export async function follow (url: string, see: (status: RunStatus) => void): Promise<RunStatus> {
  const response = await fetch(url, { headers: { accept: 'text/event-stream' } })
  assert(response.status === 200, `GET ${url}: expected 200, got ${response.status}`)
  let text = ''
  let status: RunStatus | undefined
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    const events = (text + chunk).split('\n\n')
    text = events.pop()!
    for (const event of events) {
      const data = /^data: (.*)$/m.exec(event)?.[1]
      if (data !== undefined) see(status = JSON.parse(data))
    }
  }
  assert(status !== undefined, `GET ${url}: it has ended without a word`)
  return status
}
