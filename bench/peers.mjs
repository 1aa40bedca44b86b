// Question: what does a request with background tasks cost on Fastify with this plugin, and on what one would take instead?
// Measured as CPU time of the server process per request and as time by the clock, 20 requests at once, for the same routes
// on each: no task, one and three tasks that are async functions, one and three that are plain ones (Starlette runs these in
// threads; elysia-background takes none). The servers alternate, in several processes each; medians of the pairs with a
// 95 % confidence interval; all tasks must have run. One core for the server and one for the load: the quick servers wait
// for the load, so that what a core could serve is in the CPU time, and not in the time by the clock.
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { columns, measureRequests, takeTurns } from './lib/alternate.mjs'
import { pin } from './lib/child.mjs'
import { openPeer, peers } from './lib/peer.mjs'
import { print } from './lib/print.mjs'
import { estimate, goal, ratios } from './lib/stats.mjs'

const ROUTES = { '/none': 0, '/async/1': 1, '/async/3': 3, '/plain/1': 1, '/plain/3': 3 }
const OURS = 'fastify-background'

export async function measure ({ smoke }) {
  const [processes, rounds, requests] = smoke ? [1, 1, 50] : [4, 4, 2_500]
  const values = await takeTurns(peers(), {
    processes,
    rounds,
    warmUp: smoke ? 0 : 2,
    async open (name) {
      const server = await openPeer(name)
      pin(server.pid, 0)
      return server
    },
    measure: async (server, name) => await measureRoutes(server, name, requests)
  })
  const routes = Object.keys(ROUTES)
  return {
    rounds,
    routes: Object.fromEntries(routes.map((route) => [route, columns(Object.fromEntries(Object.entries(values)
      .filter(([, records]) => records[0][route] !== undefined)
      .map(([name, records]) => [name, records.map((record) => record[route])])))]))
  }
}

async function measureRoutes (server, name, requests) {
  const record = {}
  for (const [route, tasks] of Object.entries(ROUTES)) {
    if (name.startsWith('Elysia') && route.startsWith('/plain')) continue
    record[route] = await measureRequests(server, { name, requests, pathOf: () => route, tasks: requests * tasks })
  }
  return record
}

export function report ({ rounds, routes }) {
  const names = Object.keys(routes['/none'])
  const paths = Object.keys(routes)
  const cell = (route, name, of) => routes[route][name] === undefined ? '–' : estimate(of(routes[route][name], routes[route][OURS]), rounds)
  const table = (title, of) => ({
    title,
    columns: ['', 'no task', '1 async', '3 async', '1 plain', '3 plain'],
    rows: names.map((name) => [name, ...paths.map((route) => cell(route, name, of))])
  })
  const times = (route) => cell(route, 'Starlette', (its, ours) => ratios(its.cpu, ours.cpu))
  return {
    tables: [
      table('µs of CPU per request', (its) => its.cpu),
      table('The CPU time of each, times ours', (its, ours) => ratios(its.cpu, ours.cpu)),
      table('Requests per second by the clock, with one load process', (its) => its.elapsed.map((elapsed) => 1e6 / elapsed))
    ],
    goals: names.includes('Starlette')
      ? [
          goal('one async task: requests per second of CPU, times Starlette', times('/async/1'), { atLeast: 1 }),
          goal('one plain task: requests per second of CPU, times Starlette', times('/plain/1'), { atLeast: 5 })
        ]
      : [],
    charts: [{
      kind: 'bars',
      name: 'peers',
      title: 'CPU time of the server per request, µs (less is better)',
      series: ['no task', 'one async task', 'three async tasks'],
      bars: names.map((name) => ({ label: name, ours: name === OURS, values: ['/none', '/async/1', '/async/3'].map((route) => cell(route, name, (its) => its.cpu)) }))
    }]
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) print(report(await measure({ smoke: false })))
