import type { FastifyInstance } from 'fastify'
import { plugin } from './plugin'
import type { DashboardOptions } from './options'

// What Node finds for `import { dashboard } from 'fastify-background/dashboard'`: see ../index.ts.
module.exports.dashboard = undefined

/** The plugin: `await app.register(dashboard, options)`, after fastify-background itself. */
async function dashboard (app: FastifyInstance, options: DashboardOptions): Promise<void> {
  await plugin(app, options)
}

// `plugin` brings the marks that fastify-plugin has set on it.
Object.assign(dashboard, plugin, { default: dashboard, dashboard })

declare namespace dashboard {
  export { dashboard as default, dashboard }
  export type { DashboardOptions }
}

export = dashboard
