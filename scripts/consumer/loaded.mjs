// What an ESM application loads: the sub-path with the context only when it says so.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import background from 'fastify-background'

const require = createRequire(import.meta.url)
const context = require.resolve('fastify-background/context')
assert.equal(Object.hasOwn(require.cache, require.resolve('fastify-background')), true)
assert.equal(Object.hasOwn(require.cache, context), false)
assert.equal('getTaskContext' in background, false)

const { getTaskContext } = await import('fastify-background/context')
assert.equal(Object.hasOwn(require.cache, context), true)
assert.equal(getTaskContext, require('fastify-background/context').getTaskContext)
