import type { FastifyInstance } from 'fastify'
import type { AcceptedReply, StatusHooks, StatusOptions } from './options'
import { plugin } from './plugin'
import type { RunStatus } from './view'

// What Node finds for `import { status } from 'fastify-background/status'`: see ../index.ts.
module.exports.status = undefined

/** The plugin: `await app.register(status, options)`, after fastify-background itself. */
async function status (app: FastifyInstance, options: StatusOptions): Promise<void> {
  await plugin(app, options)
}

Object.assign(status, plugin, { default: status, status })

declare namespace status {
  export { status as default, status }
  export type { AcceptedReply, RunStatus, StatusHooks, StatusOptions }
}

export = status
