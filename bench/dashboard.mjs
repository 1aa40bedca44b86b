// Question: what does the dashboard cost a request, with a page open and with none, at 1,000 runs per second?
// Measured as the CPU time of the server's process per request, at a steady rate of requests with one asynchronous task
// each, without the dashboard, with it while nobody looks, and with a page open; each process first answers as many as it can,
// lest the compiler be measured. The variants alternate in short rounds, in several processes each; medians of the pairs with
// a 95 % confidence interval. How large a frame is with all lists full, is said, too.
import { get } from 'node:http'
import { once } from 'node:events'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import Fastify from 'fastify'
import background from 'fastify-background'
import dashboard from 'fastify-background/dashboard'
import { columns, measureLoad, measureRequests, openServer, takeTurns } from './lib/alternate.mjs'
import { openLoad } from './lib/open-load.mjs'
import { print } from './lib/print.mjs'
import { estimate, goal, ratios } from './lib/stats.mjs'

const RATE = 1_000
const ROWS = 100
const NOBODY = 'nobody looks'
const OPEN = 'a page is open'

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
  [NOBODY]: withDashboard,
  [OPEN]: withDashboard
}

export async function measure ({ smoke }) {
  const [processes, rounds, requests, first] = smoke ? [1, 1, 200, 100] : [4, 12, RATE * 2, 40_000]
  const values = await takeTurns(Object.keys(variants), {
    processes,
    rounds,
    warmUp: smoke ? 0 : 1,
    async open (name) {
      const server = await openServer(import.meta.url, name)
      await measureRequests(server, { name, requests: first, tasks: first })
      if (name === OPEN) await openPage(server.url)
      return server
    },
    measure: (server, name) => measureLoad(server, name, requests, requests, () => openLoad(server.url, requests, RATE))
  })
  return { rounds, values: columns(values), frame: await largestFrame() }
}

export function report ({ rounds, values, frame }) {
  const names = Object.keys(values)
  const times = (name, of) => estimate(ratios(values[name].cpu, values[of].cpu), rounds)
  const [none] = names
  return {
    tables: [{
      title: `At ${RATE} requests per second, with a task each`,
      columns: ['', 'µs of CPU per request', `times ${none}`],
      rows: names.map((name) => [name, estimate(values[name].cpu, rounds), times(name, none)])
    }, {
      title: 'The largest frame that a page is sent',
      columns: ['', 'kB'],
      rows: [['without its charts', frame]]
    }],
    goals: [goal('CPU time per request with a page open, times without', times(OPEN, NOBODY), { atMost: 1.1 })],
    charts: []
  }
}

/** The server closes it at its end. */
async function openPage (url) {
  const [response] = await once(get(`${url}/background/feed`, { agent: false }), 'response')
  response.on('error', () => {}).resume()
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
  return text.length / 1_000
}

if (process.argv[1] === fileURLToPath(import.meta.url)) print(report(await measure({ smoke: false })))
