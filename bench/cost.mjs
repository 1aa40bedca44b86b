// Question: what does the plugin cost a request, unused and with tasks, beside what one would write by hand?
// Measured as CPU time of the server process per request and as time by the clock, 20 requests at once, against Fastify
// alone, an empty onResponse hook, a loop in an onResponse hook with a try for each task, and a bare setImmediate; with a
// logger, which writes two lines a request to nowhere, as well. The variants alternate, in several processes each; medians
// of the pairs with a 95 % confidence interval; all tasks must have run. One core for the server and one for the load.
import { createWriteStream } from 'node:fs'
import { devNull } from 'node:os'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import background from 'fastify-background'
import { alternate } from './lib/alternate.mjs'
import { runByHand } from './lib/by-hand.mjs'
import { print } from './lib/print.mjs'
import { differences, estimate, goal, ratios } from './lib/stats.mjs'

let ran = 0
async function task () { ran++ }
const answer = async () => ({ hello: 'world' })

async function bare (app) {
  app.get('/', answer)
  return () => 0
}

async function hook (app) {
  app.addHook('onResponse', function empty (request, reply, done) { done() })
  app.get('/', answer)
  return () => 0
}

async function unused (app) {
  await app.register(background)
  app.get('/', answer)
  return () => 0
}

const tasks = (amount) => async (app) => {
  await app.register(background)
  app.get('/', async (request, reply) => {
    for (let i = 0; i < amount; i++) reply.background.addTask(task, 'argument')
    return { hello: 'world' }
  })
  return () => ran
}

const loop = (amount) => async (app) => {
  runByHand(app)
  app.get('/', async (request, reply) => {
    reply.tasks = []
    for (let i = 0; i < amount; i++) reply.tasks.push([task, ['argument']])
    return { hello: 'world' }
  })
  return () => ran
}

const immediate = (amount) => async (app) => {
  app.get('/', async (request) => {
    for (let i = 0; i < amount; i++) {
      setImmediate(async () => {
        try {
          await task('argument')
        } catch (err) {
          request.log.error(err)
        }
      })
    }
    return { hello: 'world' }
  })
  return () => ran
}

// A function of its own for each: the logger is an option of the application.
const logged = (variant) => Object.assign((app) => variant(app), { options: { logger: { stream: createWriteStream(devNull) } } })

export const variants = {
  'Fastify alone': bare,
  'an empty hook': hook,
  'the plugin, unused': unused,
  'by hand, 1 task': loop(1),
  'by hand, 3 tasks': loop(3),
  'setImmediate, 1 task': immediate(1),
  'setImmediate, 3 tasks': immediate(3),
  'the plugin, 1 task': tasks(1),
  'the plugin, 3 tasks': tasks(3),
  'an empty hook, logger': logged(hook),
  'the plugin, unused, logger': logged(unused),
  'by hand, 1 task, logger': logged(loop(1)),
  'the plugin, 1 task, logger': logged(tasks(1))
}

const tasksOf = (name) => Number(/(\d) tasks?/.exec(name)?.[1] ?? 0)

export async function measure ({ smoke }) {
  const [processes, rounds, warmUp, requests] = smoke ? [1, 1, 0, 50] : [6, 4, 2, 6_000]
  const values = await alternate(import.meta.url, Object.keys(variants), { processes, rounds, warmUp, requests, expected: tasksOf })
  return { rounds, values }
}

export function report ({ rounds, values }) {
  const cpu = (name) => values[name].cpu
  const ratio = (name, of) => estimate(ratios(cpu(name), cpu(of)), rounds)
  const more = (name, than) => estimate(differences(cpu(name), cpu(than)), rounds)
  return {
    tables: [{
      columns: ['', 'µs of CPU per request', 'µs by the clock'],
      rows: Object.keys(values).map((name) => [name, estimate(cpu(name), rounds), estimate(values[name].elapsed, rounds)])
    }, {
      title: 'Pairs',
      columns: ['', 'CPU time'],
      rows: [
        ['unused: µs more than an empty hook', more('the plugin, unused', 'an empty hook')],
        ['unused, logger: µs more than an empty hook', more('the plugin, unused, logger', 'an empty hook, logger')],
        ['1 task: times by hand', ratio('the plugin, 1 task', 'by hand, 1 task')],
        ['1 task: µs more than by hand', more('the plugin, 1 task', 'by hand, 1 task')],
        ['3 tasks: times by hand', ratio('the plugin, 3 tasks', 'by hand, 3 tasks')],
        ['1 task, logger: times by hand', ratio('the plugin, 1 task, logger', 'by hand, 1 task, logger')],
        ['1 task: times setImmediate', ratio('the plugin, 1 task', 'setImmediate, 1 task')]
      ]
    }],
    goals: [
      goal('unused: µs of CPU more than an empty hook', more('the plugin, unused', 'an empty hook'), { atMost: 1 }),
      goal('one task: CPU time, times the loop by hand', ratio('the plugin, 1 task', 'by hand, 1 task'), { atMost: 1.1 })
    ],
    charts: [{
      kind: 'bars',
      name: 'cost',
      title: 'CPU time of the server per request, µs (less is better)',
      bars: Object.keys(values).filter((name) => !name.includes('logger'))
        .map((name) => ({ label: name, ours: name.startsWith('the plugin'), values: [estimate(cpu(name), rounds)] }))
    }]
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) print(report(await measure({ smoke: false })))
