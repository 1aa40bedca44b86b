import t, { type Test } from 'tap'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import background from '../../lib/index'

export interface BesideOptions {
  /** The options of this plugin. */
  background?: background.BackgroundOptions
  server?: FastifyServerOptions
}

/**
 * Makes a function that declares a test twice: with this plugin registered before another one, and after it. Each test
 * gets a fresh app with both, closed at its end.
 */
export function beside (other: string, register: (app: FastifyInstance) => PromiseLike<unknown>) {
  return function test (
    rule: string, body: (t: Test, app: FastifyInstance) => Promise<unknown>, options: BesideOptions = {}
  ): void {
    for (const order of ['before', 'after'] as const) {
      t.test(`${rule} (registered ${order} ${other})`, async (t) => {
        const app = Fastify(options.server)
        t.teardown(() => app.close())
        if (order === 'after') await register(app)
        await app.register(background, options.background ?? {})
        if (order === 'before') await register(app)
        await body(t, app)
      })
    }
  }
}
