import { inspect } from 'node:util'
import type { FastifyBaseLogger } from 'fastify'
import { isCloneable } from './cloneable'
import { LOG_LEVELS, type LogLevel, type LogLine } from './messages'

/** A logger in a thread, whose lines are written where the task was added. */
export function createThreadLog (
  level: string, say: (line: LogLine) => void, bindings: readonly object[] = []
): FastifyBaseLogger {
  const least = LOG_LEVELS.indexOf(level as LogLevel)

  function writer (at: LogLevel): (...args: unknown[]) => void {
    // A level that is not known here is for the other side to judge.
    if (level === 'silent' || LOG_LEVELS.indexOf(at) < least) return () => {}
    return (...args) => { say({ kind: 'log', level: at, bindings, args: args.map(toSendable) }) }
  }

  return {
    level,
    ...Object.fromEntries(LOG_LEVELS.map((at) => [at, writer(at)])) as Record<LogLevel, FastifyBaseLogger['info']>,
    silent () {},
    child: (more) => createThreadLog(level, say, [...bindings, toSendable(more) as object])
  }
}

/** What cannot be cloned is sent as text, alone or as a property. */
function toSendable (value: unknown): unknown {
  if (isCloneable(value)) return value
  const isRecord = typeof value === 'object' && value !== null && [Object.prototype, null].includes(Object.getPrototypeOf(value))
  if (!isRecord) return inspect(value)
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, isCloneable(each) ? each : inspect(each)]))
}
