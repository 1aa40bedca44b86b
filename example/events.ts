// What becomes of an application's tasks, as node:diagnostics_channel tells it: here it is drawn. Metrics and traces can
// be made of the same events.
import { subscribe } from 'node:diagnostics_channel'
import type {
  AppBackground, AttemptEvent, CancelledEvent, ProgressEvent, RetryingEvent, TaskEvent
} from 'fastify-background'
import type { Timeline } from './timeline'

export function drawTasks (background: AppBackground, { task }: Timeline): void {
  // An attempt has the events of a tracing channel.
  on<AttemptEvent>('tracing:fastify.background.task:start', ({ run, attempt, queueTime }) => {
    task(run, '┬', `attempt ${attempt}${attempt === 1 ? `, after ${queueTime} ms in the queue` : ''}`)
  })
  on<AttemptEvent>('tracing:fastify.background.task:error', ({ run, error }) => {
    task(run, '×', (error as Error).message)
  })
  on<AttemptEvent>('tracing:fastify.background.task:asyncEnd', ({ run, duration = 0 }) => {
    if (run.state === 'completed') task(run, '┴', `done in ${duration.toFixed(0)} ms`)
  })

  on<ProgressEvent>('fastify.background.task.progress', ({ run, progress: { value, message = '' } }) => {
    task(run, '├', `${(value * 100).toFixed(0)} %  ${message}`)
  })
  on<RetryingEvent>('fastify.background.task.retrying', ({ run, delay }) => {
    task(run, '', `again in ${delay} ms`)
  })
  on<CancelledEvent>('fastify.background.task.cancelled', ({ run, reason }) => {
    task(run, '×', (reason as Error).message)
  })

  function on<E extends TaskEvent> (channel: string, draw: (event: E) => void): void {
    subscribe(channel, (message) => {
      const event = message as E
      // Channels are global to the process: the tasks of other applications come by as well.
      if (event.background === background) draw(event)
    })
  }
}
