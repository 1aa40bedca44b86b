import {
  context, isSpanContextValid, propagation, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace,
  type Context, type Link, type Span, type Tracer
} from '@opentelemetry/api'
import type { AttemptEvent, TaskEvent } from '../types'
import { ATTEMPT, DESTINATION, ERROR_TYPE, errorType, MESSAGE_ID, OPERATION_TYPE, OUTCOME, PROCESSING } from './attributes'
import { hasFailed, outcomeOf } from './outcome'

/**
 * A span for each attempt. It is the root of a trace of its own, so that the trace of a request ends with the reply, and
 * linked to the span that was active where the task was added.
 */
export class Spans {
  readonly #tracer: Tracer
  readonly #open = new WeakMap<AttemptEvent, Span>()

  constructor (tracer: Tracer) {
    this.#tracer = tracer
  }

  /** A durable task takes the context of the place that adds it along, to wherever it will run. */
  inject ({ meta }: TaskEvent): void {
    if (meta !== undefined) propagation.inject(context.active(), meta)
  }

  /** @returns the context that the attempt is to be called in. */
  begin (event: AttemptEvent): Context {
    const { run, attempt } = event
    const origin = originOf(event)
    const span = this.#tracer.startSpan(`process ${run.name}`, {
      root: true,
      kind: SpanKind.CONSUMER,
      links: linksTo(origin),
      attributes: { ...PROCESSING, [OPERATION_TYPE]: 'process', [DESTINATION]: run.name, [ATTEMPT]: attempt }
    }, origin)
    if (span.isRecording()) {
      // Who asks for the id has it made.
      span.setAttribute(MESSAGE_ID, run.id)
      this.#open.set(event, span)
    }
    return trace.setSpan(origin, span)
  }

  /** The attempt is over. */
  end (event: AttemptEvent): void {
    const span = this.#open.get(event)
    if (span === undefined) return
    span.setAttribute(OUTCOME, outcomeOf(event))
    if (hasFailed(event)) fail(span, event.error)
    span.end()
  }
}

/** The context that the task was added in: the active one (R4), unless it has come by an engine. */
function originOf ({ meta }: AttemptEvent): Context {
  return meta === undefined ? context.active() : propagation.extract(ROOT_CONTEXT, meta)
}

function linksTo (origin: Context): Link[] {
  const added = trace.getSpanContext(origin)
  return added !== undefined && isSpanContextValid(added) ? [{ context: added }] : []
}

function fail (span: Span, error: unknown): void {
  span.setAttribute(ERROR_TYPE, errorType(error))
  // A getter on the error, or what it becomes as a string, may throw.
  try {
    span.setStatus({ code: SpanStatusCode.ERROR })
    span.recordException(error instanceof Error ? error : String(error))
    span.setStatus({ code: SpanStatusCode.ERROR, message: error instanceof Error ? error.message : String(error) })
  } catch {}
}
