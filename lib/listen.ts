import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { CHANNELS } from './events'
import type { AppBackground, TaskEvent } from './types'

/**
 * Listens to the events of one application: the channels are global to the process.
 *
 * @returns what ends it.
 */
export function listen<E extends TaskEvent> (
  background: AppBackground, listeners: { readonly [name in keyof typeof CHANNELS]?: (event: E) => void }
): () => void {
  const own = Object.entries(listeners).map(([name, listener]) => [CHANNELS[name as keyof typeof CHANNELS], (message: unknown): void => {
    const event = message as E
    if (event.background === background) listener(event)
  }] as const)
  for (const [channel, listener] of own) subscribe(channel, listener)
  return () => {
    for (const [channel, listener] of own) unsubscribe(channel, listener)
  }
}
