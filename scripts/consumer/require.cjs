// A CommonJS application: what `require` gives is the plugin itself, and it works.
const assert = require('node:assert/strict')
const fastify = require('fastify')
const background = require('fastify-background')
const { getTaskContext } = require('fastify-background/context')

assert.equal(typeof background, 'function')
assert.equal(background.default, background)
assert.deepEqual(Object.keys(background.errorCodes), [
  'FST_ERR_BACKGROUND_INVALID_TASK', 'FST_ERR_BACKGROUND_INVALID_OPTION', 'FST_ERR_BACKGROUND_QUEUE_FULL',
  'FST_ERR_BACKGROUND_CLOSED', 'FST_ERR_BACKGROUND_TASK_TIMEOUT', 'FST_ERR_BACKGROUND_NO_ENGINE',
  'FST_ERR_BACKGROUND_UNKNOWN_TASK', 'FST_ERR_BACKGROUND_ARGS_NOT_SERIALIZABLE', 'FST_ERR_BACKGROUND_ARGS_TOO_LARGE',
  'FST_ERR_BACKGROUND_STORE_FAILED', 'FST_ERR_BACKGROUND_TOO_MANY_RESTARTS', 'FST_ERR_BACKGROUND_RUN_NOT_FOUND',
  'FST_ERR_BACKGROUND_RUN_FINISHED', 'FST_ERR_BACKGROUND_ENGINE_AWAY', 'FST_ERR_BACKGROUND_TOO_MANY_LISTENERS',
  'FST_ERR_BACKGROUND_CROSS_SITE', 'FST_ERR_BACKGROUND_NOT_CLONEABLE', 'FST_ERR_BACKGROUND_THREAD_ENDED'
])
for (const name of [
  'BackgroundTask', 'BackgroundTasks', 'defineTask', 'errorCodes', 'fastifyBackground', 'RetryAfterError',
  'UnrecoverableError'
]) {
  assert.notEqual(background[name], undefined, name)
}

async function main () {
  const { BackgroundTask, defineTask, RetryAfterError, UnrecoverableError } = background
  const seen = []
  const app = fastify()
  await app.register(background, { closeTimeout: 5000 })
  app.get('/', { background: new BackgroundTask((text) => { seen.push(text) }, 'route') }, async (request, reply) => {
    reply.raw.once('finish', () => seen.push('reply'))
    reply.background.addTask(async (text) => { seen.push(text) }, 'call')
    return 'ok'
  })

  const response = await fetch(await app.listen({ port: 0, host: '127.0.0.1' }))
  assert.equal(await response.text(), 'ok')
  await app.background.idle()
  assert.deepEqual(seen, ['reply', 'route', 'call'])
  assert.equal(app.background.stats().completed, 2)

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

  const status = require('fastify-background/status')
  assert.equal(status.default, status)
  assert.equal(typeof status, 'function')

  // The dashboard brings its page.
  const dashboard = require('fastify-background/dashboard')
  const shown = fastify()
  await shown.register(background)
  await shown.register(dashboard, { allowAnonymous: true })
  for (const name of ['', 'page.js', 'page.css', 'icon.svg']) assert.equal((await shown.inject(`/background/${name}`)).statusCode, 200)
  assert.equal(dashboard.default, dashboard)
  await shown.close()

  await app.close()
  assert.throws(() => app.background.addTask(() => {}), background.errorCodes.FST_ERR_BACKGROUND_CLOSED)
}

main()
