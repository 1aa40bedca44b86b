// What comes with the package at run time: its own files, and the two that it depends on. Contexts are kept for those who
// have asked for them.
const assert = require('node:assert/strict')
const { dirname, sep } = require('node:path')

require('fastify-background')

const modules = dirname(dirname(require.resolve('fastify-background/package.json')))
const owners = Object.keys(require.cache).filter((file) => file !== __filename).map((file) => {
  const parts = file.slice(modules.length + 1).split(sep)
  return parts[0].startsWith('@') ? `${parts[0]}/${parts[1]}` : parts[0]
})
assert.deepEqual([...new Set(owners)].sort(), ['@fastify/error', 'fastify-background', 'fastify-plugin'])

const context = require.resolve('fastify-background/context')
assert.equal(Object.hasOwn(require.cache, context), false)
const before = Object.keys(require.cache)
require('fastify-background/context')
assert.deepEqual(Object.keys(require.cache).filter((file) => !before.includes(file)), [context])

// No other file of the package is a way in.
assert.throws(() => require('fastify-background/dist/context.js'), { code: 'ERR_PACKAGE_PATH_NOT_EXPORTED' })

// An engine is loaded by its sub-path alone, and says what it needs.
for (const [engine, options, needed] of [
  ['journal', { location: 'here' }, 'classic-level'], ['bullmq', { queue: 'mails', connection: 'redis://localhost' }, 'bullmq']
]) {
  assert.equal(Object.keys(require.cache).some((file) => file.includes(`${sep}engines${sep}`)), engine !== 'journal')
  assert.throws(() => require(`fastify-background/${engine}`)[engine](options), (error) => error.message.includes(`npm i ${needed}`))
}

// Telemetry, too, is loaded by its sub-path alone, and names what it needs.
assert.equal(Object.keys(require.cache).some((file) => file.includes(`${sep}otel${sep}`)), false)
assert.throws(() => require('fastify-background/otel'), (error) => error.code === 'MODULE_NOT_FOUND' && error.message.includes('@opentelemetry/api'))
