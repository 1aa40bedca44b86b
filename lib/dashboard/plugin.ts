import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import type { Background } from '../background'
import { countAttempts } from './attempts'
import { Feed } from './feed'
import { Meter } from './meter'
import { resolveDashboardOptions, type DashboardOptions } from './options'
import { LIST_LENGTH, Overview } from './overview'
import { readPage } from './page'
import { dashboardRoutes } from './routes'
import { Runs } from './runs'
import { StoredTasks } from './stored'

async function fastifyBackgroundDashboard (app: FastifyInstance, opts: DashboardOptions): Promise<void> {
  const options = resolveDashboardOptions(opts)
  const { prefix, logLevel, logSerializers } = options
  const background = app.background as Background
  const { engine } = background.options
  const page = await readPage()

  const runs = new Runs(background)
  const meter = new Meter()
  const stopCounting = countAttempts(background, meter)
  const stored = engine && new StoredTasks(engine, LIST_LENGTH + 1)
  const overview = new Overview(background, runs, meter, stored, options.showArguments)
  const feed = new Feed(overview)

  // Behind the plugin's own wait for tasks: one can look on until the last is done.
  app.addHook('preClose', async function endFeed () { feed.close() })
  app.addHook('onClose', async function stopWatching () {
    stopCounting()
    runs.close()
  })
  await app.register(dashboardRoutes, {
    prefix, ...logLevel && { logLevel }, ...logSerializers && { logSerializers }, background, options, page, feed, overview, stored
  })
}

export const plugin: FastifyPluginAsync<DashboardOptions> =
  fp(fastifyBackgroundDashboard, { fastify: '5.x', name: 'fastify-background/dashboard', dependencies: ['fastify-background'] })
