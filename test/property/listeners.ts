import diagnostics from 'node:diagnostics_channel'
import type { FastifyInstance } from 'fastify'
import type { RetryingEvent, TaskEvent } from '../../lib/index'
import type { Model } from './model'

/** Tells the model what the plugin and the process say, until the function that is returned is called. */
export function subscribe (model: Model, app: FastifyInstance): () => void {
  const ours = <E extends TaskEvent>(listener: (event: E) => void) => (event: unknown) => {
    if ((event as E).background === app.background) listener(event as E)
  }
  const channels = [
    ['fastify.background.task.queued', ours(({ run }) => model.queued(run))],
    ['fastify.background.task.retrying', ours((event: RetryingEvent) => model.retrying(event))]
  ] as const
  const reject = (reason: unknown): void => model.violation(`unhandled rejection: ${String(reason)}`)
  for (const [name, listener] of channels) diagnostics.subscribe(name, listener)
  process.on('unhandledRejection', reject)
  return () => {
    for (const [name, listener] of channels) diagnostics.unsubscribe(name, listener)
    process.off('unhandledRejection', reject)
  }
}

/** How many timers keep the process alive. */
export function countTimers (): number {
  return process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length
}
