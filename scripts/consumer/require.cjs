// A CommonJS application: what `require` gives is the plugin itself, and it works.
const assert = require('node:assert/strict')
const fastify = require('fastify')
const background = require('fastify-background')

assert.equal(typeof background, 'function')
assert.equal(background.default, background)
for (const name of ['BackgroundTask', 'BackgroundTasks', 'errorCodes', 'fastifyBackground']) {
  assert.notEqual(background[name], undefined, name)
}

async function main () {
  const { BackgroundTask } = background
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

  await app.close()
  assert.throws(() => app.background.addTask(() => {}), background.errorCodes.FST_ERR_BACKGROUND_CLOSED)
}

main()
