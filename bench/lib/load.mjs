// Requests, so many at once, each after the answer to one before it. Ends with the last answer: autocannon ends with the
// second in which that comes.
import { once } from 'node:events'
import { Agent, get } from 'node:http'
import { performance } from 'node:perf_hooks'
import { setTimeout } from 'node:timers/promises'

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

/** Requests at a steady rate, so many in a second, whatever becomes of those before them. Ends with the last answer. */
export async function paced (url, amount, rate, connections) {
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  const asked = []
  const began = performance.now()
  try {
    while (asked.length < amount) {
      const due = Math.min(amount, Math.floor((performance.now() - began) * rate / 1_000) + 1)
      while (asked.length < due) asked.push(ask(url, agent))
      await setTimeout(1)
    }
    await Promise.all(asked)
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
