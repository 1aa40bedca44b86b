// Question: what does the plugin cost a request, unused and with one task, beside what one would write by hand?
// Measured as CPU time of the server process per request; the variants alternate, each against its own baseline of the
// same round; medians of the pairs with a 95 % confidence interval.
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import background from 'fastify-background'
import { alternate } from './lib/alternate.mjs'
import { printMedian } from './lib/stats.mjs'

const TASKS = { hook: 0, unused: 0, loop: 1, task: 1 }

export const variants = {
  // An app with one empty onResponse hook.
  async hook (app) {
    app.addHook('onResponse', function empty (request, reply, done) { done() })
    app.get('/', async () => ({ hello: 'world' }))
    return () => 0
  },

  async unused (app) {
    await app.register(background)
    app.get('/', async () => ({ hello: 'world' }))
    return () => 0
  },

  // What one would write by hand.
  async loop (app) {
    let ran = 0
    async function task () { ran++ }
    app.decorateReply('tasks', null)
    app.addHook('onResponse', async function runTasks (request, reply) {
      if (reply.tasks === null) return
      for (const [fn, args] of reply.tasks) {
        try {
          await fn(...args)
        } catch (err) {
          request.log.error(err)
        }
      }
    })
    app.get('/', async (request, reply) => {
      reply.tasks = [[task, ['argument']]]
      return { hello: 'world' }
    })
    return () => ran
  },

  async task (app) {
    let ran = 0
    async function task () { ran++ }
    await app.register(background)
    app.get('/', async (request, reply) => {
      reply.background.addTask(task, 'argument')
      return { hello: 'world' }
    })
    return () => ran
  }
}

export async function run ({ smoke = false, rounds = smoke ? 2 : 40, requests = smoke ? 500 : 10_000 } = {}) {
  const cost = await alternate(import.meta.url, Object.keys(variants), {
    rounds,
    requests,
    check: (name, ran, count) => ran === TASKS[name] * count ? undefined : `${ran} tasks ran, expected ${TASKS[name] * count}`
  })
  const of = (name) => cost.get(name)
  for (const name of cost.keys()) printMedian(`${name}, µs of CPU per request`, of(name))
  printMedian('unused: µs more than an empty hook', of('unused').map((value, i) => value - of('hook')[i]))
  printMedian('one task: times the hand-written loop', of('task').map((value, i) => value / of('loop')[i]))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await run()
