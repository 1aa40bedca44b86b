import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import background from '../../lib/index'

interface Test { teardown: (fn: () => unknown) => void }

/** A fresh app with the plugin, closed at the end of the test. */
export async function createApp (
  t: Test, options: background.BackgroundOptions = {}, server: FastifyServerOptions = {}
): Promise<FastifyInstance> {
  const app = Fastify(server)
  t.teardown(() => app.close())
  await app.register(background, options)
  return app
}

/** Listens on a free port of the loopback interface. */
export async function listen (app: FastifyInstance): Promise<{ url: string, port: number }> {
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  return { url, port: Number(new URL(url).port) }
}

export interface Line { level: number, msg: string, [key: string]: unknown }

/** A logger option for Fastify that keeps the lines, parsed. */
export function memoryLogger (level = 'info'): { logger: FastifyServerOptions['logger'], lines: Line[] } {
  const lines: Line[] = []
  return { lines, logger: { level, stream: { write (line: string) { lines.push(JSON.parse(line)) } } } }
}
