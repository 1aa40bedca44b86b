// Requests, so many at once, each after the answer to one before it. Ends with the last answer: autocannon ends with the
// second in which that comes.
import { once } from 'node:events'
import { Agent, get } from 'node:http'

export async function load (url, amount, connections) {
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  let left = amount
  try {
    await Promise.all(Array.from({ length: connections }, async () => {
      while (left-- > 0) await ask(url, agent)
    }))
  } finally {
    agent.destroy()
  }
}

async function ask (url, agent) {
  const [response] = await once(get(url, { agent }), 'response')
  response.resume()
  await once(response, 'end')
  if (response.statusCode !== 200) throw new Error(`load: a reply of ${response.statusCode}`)
}
