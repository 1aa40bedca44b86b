// An ESM application with a task in a thread.
import assert from 'node:assert/strict'
import fastify from 'fastify'
import background from 'fastify-background'
import { threads, threadTask } from 'fastify-background/threads'

const sum = threadTask(new URL('./sum.mjs', import.meta.url))
const app = fastify()
await app.register(background)
await app.register(threads)
await app.ready()
const run = await app.background.addTask(sum, 1, 2).finished()
assert.deepEqual([run.name, run.state, run.result, run.progress.value], ['sum', 'completed', 3, 1])
await app.close()
assert.equal(await sum(1), 1)
