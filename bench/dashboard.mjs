// Question: what does the dashboard cost a request, with a page open and with none, at 1,000 runs per second?
// Measured as the CPU time of the server's process per request, at a steady rate of requests with one asynchronous task
// each; the variants alternate, in several processes each; medians of the pairs with a 95 % confidence interval.
// The goals: a page open costs at most 1.10 times what it costs with none. How large a frame is, is said, too.
import { get } from 'node:http'
import { once } from 'node:events'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import Fastify from 'fastify'
import background from 'fastify-background'
import dashboard from 'fastify-background/dashboard'
import { alternate } from './lib/alternate.mjs'
import { paced } from './lib/load.mjs'
import { printMedian } from './lib/stats.mjs'

const RATE = 1_000
const ROWS = 100

async function answering (app, plugins) {
  let ran = 0
  await app.register(background)
  for (const [plugin, options] of plugins) await app.register(plugin, options)
  app.get('/', async (request, reply) => {
    reply.background.addTask(async () => {
      await undefined
      ran++
    })
    return { hello: 'world' }
  })
  return () => ran
}

const withDashboard = async (app) => await answering(app, [[dashboard, { allowAnonymous: true }]])

export const variants = {
  'no dashboard': async (app) => await answering(app, []),
  'nobody looks': withDashboard,
  'a page is open': withDashboard
}

export async function run ({ smoke = false } = {}) {
  const names = Object.keys(variants)
  // Less than that, and it is the compiler that is measured.
  const seconds = smoke ? 1 : 8
  const values = await alternate(import.meta.url, names, {
    ...smoke ? { processes: 1, rounds: 1 } : { processes: 2, rounds: 4 },
    requests: RATE * seconds,
    check: (name, ran, requests) => ran === requests ? undefined : `${ran} of ${requests}`,
    async load (url, amount, connections, name) {
      const close = name === 'a page is open' ? await openPage(url) : () => {}
      await paced(url, amount, RATE, connections)
      close()
    }
  })
  for (const name of names) printMedian(`${name}, µs of CPU per request`, values.get(name))
  const times = (a, b) => values.get(a).map((value, i) => value / values.get(b)[i])
  printMedian('nobody looks: times no dashboard', times('nobody looks', 'no dashboard'))
  printMedian('a page is open: times nobody looks', times('a page is open', 'nobody looks'))
  console.log(`the largest frame, without its charts: ${await largestFrame()} kB`)
}

async function openPage (url) {
  const asking = get(`${url}/background/feed`, { agent: false })
  const [response] = await once(asking, 'response')
  response.on('error', () => {}).resume()
  return () => asking.destroy()
}

/** With all lists full: no page that takes nothing keeps more than one. */
async function largestFrame () {
  const app = Fastify()
  await app.register(background, { concurrency: ROWS, closeTimeout: 0 })
  await app.register(dashboard, { allowAnonymous: true })
  for (let i = 0; i < ROWS; i++) app.background.addTask(async function failing () { throw new Error('the mail server is away') })
  await app.background.idle()
  for (let i = 0; i < ROWS * 2; i++) {
    app.background.addTask(async function working () {
      this.progress({ value: 0.5, message: 'half of it is done' })
      await new Promise(() => {})
    })
  }
  await app.listen({ port: 0, host: '127.0.0.1' })
  const [response] = await once(get(`${app.listeningOrigin}/background/feed`, { agent: false }), 'response')
  let text = ''
  for await (const chunk of response.setEncoding('utf8')) if ((text += chunk).includes('\n\n')) break
  await app.close()
  return (text.length / 1_000).toFixed(1)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await run()
