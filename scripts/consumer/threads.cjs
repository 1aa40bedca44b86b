// A CommonJS application with a task in a thread.
const assert = require('node:assert/strict')
const fastify = require('fastify')
const background = require('fastify-background')
const { threads, threadTask } = require('fastify-background/threads')

async function main () {
  const sum = threadTask(require.resolve('./sum.mjs'))
  const app = fastify()
  await app.register(background)
  await app.register(threads)
  const run = await app.background.addTask(sum, 1, 2).finished()
  assert.deepEqual([run.name, run.state, run.result, run.progress.value], ['sum', 'completed', 3, 1])
  await app.close()
}

main()
