// An ESM application: the default and the named exports are there at run time, and it works.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import fastify from 'fastify'
import background, {
  BackgroundTask, BackgroundTasks, defineTask, errorCodes, fastifyBackground, RetryAfterError, UnrecoverableError
} from 'fastify-background'
import * as everything from 'fastify-background'
import { getTaskContext } from 'fastify-background/context'
import statusByDefault, { status } from 'fastify-background/status'
import dashboardByDefault, { dashboard } from 'fastify-background/dashboard'

const required = createRequire(import.meta.url)('fastify-background')
assert.equal(background, required)
assert.equal(typeof fastifyBackground, 'function')

// Every property of what `require` gives is a named export, and no export is empty.
for (const name of Object.keys(required)) assert.equal(everything[name], required[name], name)
for (const [name, value] of Object.entries(everything)) assert.notEqual(value, undefined, name)

const seen = []
const app = fastify()
await app.register(background)
app.get('/', { background: (request) => { seen.push(request.url) } }, async (request, reply) => {
  reply.raw.once('finish', () => seen.push('reply'))
  reply.background.addTasks(new BackgroundTasks([new BackgroundTask((text) => { seen.push(text) }, 'group')]))
  return 'ok'
})

const response = await fetch(await app.listen({ port: 0, host: '127.0.0.1' }))
assert.equal(await response.text(), 'ok')
await app.background.idle()
assert.deepEqual(seen, ['reply', '/', 'group'])

// A definition has a policy, and its context can be had by name.
const again = defineTask(async (last) => {
  seen.push(getTaskContext()?.attempt)
  if (seen.at(-1) === 1) throw new RetryAfterError(0)
  throw last
}, { name: 'again', retries: 5 })
const hopeless = new UnrecoverableError('hopeless')
const run = await app.background.addTask(again, hopeless).finished()
assert.deepEqual([run.name, run.state, run.attempt, run.error], ['again', 'failed', 2, hopeless])
assert.deepEqual(seen.slice(3), [1, 2])
assert.equal(getTaskContext(), undefined)

assert.throws(() => app.background.addTask('send'), errorCodes.FST_ERR_BACKGROUND_INVALID_TASK)
await app.close()

// Who asks for the status is told.
const asked = fastify()
await asked.register(background)
await asked.register(status, { prefix: '/runs' })
asked.post('/', (request, reply) => reply.accepted(reply.background.addTask(() => {})))
const accepted = await asked.inject({ method: 'POST', url: '/' })
await asked.background.idle()
assert.equal(accepted.statusCode, 202)
assert.equal((await asked.inject(accepted.headers.location)).json().state, 'completed')
assert.equal(status, statusByDefault)
await asked.close()

// It can be registered by its name, too, and the dashboard as well.
const named = fastify()
await named.register(fastifyBackground)
assert.equal(dashboard, dashboardByDefault)
await named.register(dashboard, { prefix: '/tasks', allowAnonymous: true })
assert.match((await named.inject('/tasks/')).body, /Background tasks/)
await named.background.addTask(() => { seen.push('named') }).finished()
assert.equal(seen.at(-1), 'named')
await named.close()
