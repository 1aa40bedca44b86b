import type { FastifyInstance } from 'fastify'
import type { AcceptedReply, StatusHooks, StatusOptions } from './options'
import { plugin } from './plugin'
import type { RunStatus } from './view'

// Node reads the names of a CommonJS module's exports off its text: see ../index.ts.
module.exports.fastifyBackgroundStatus = undefined

/** The plugin: `await app.register(fastifyBackgroundStatus, options)`, after fastify-background. */
async function fastifyBackgroundStatus (app: FastifyInstance, options: StatusOptions): Promise<void> {
  await plugin(app, options)
}

Object.assign(fastifyBackgroundStatus, plugin, { default: fastifyBackgroundStatus, fastifyBackgroundStatus })

declare namespace fastifyBackgroundStatus {
  export { fastifyBackgroundStatus as default, fastifyBackgroundStatus }
  export type { AcceptedReply, RunStatus, StatusHooks, StatusOptions }
}

export = fastifyBackgroundStatus
