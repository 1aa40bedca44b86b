import { inspect } from 'node:util'
import type { FastifyBaseLogger } from 'fastify'
import { isCloneable } from './cloneable'
import { LOG_LEVELS, type Logged, type LogLevel, type LogLine } from './messages'
import { fromThrown, toThrown, type Thrown } from './thrown'

/** A logger in a thread, whose lines are written where the task was added. */
export function createThreadLog (
  level: string, say: (line: LogLine) => void, bindings: readonly Logged[] = []
): FastifyBaseLogger {
  const least = LOG_LEVELS.indexOf(level as LogLevel)

  function writer (at: LogLevel): (...args: unknown[]) => void {
    // A level that is not known here is for the other side to judge.
    if (level === 'silent' || LOG_LEVELS.indexOf(at) < least) return () => {}
    return (...args) => { say({ kind: 'log', level: at, bindings, args: args.map(toLogged) }) }
  }

  return {
    level,
    ...Object.fromEntries(LOG_LEVELS.map((at) => [at, writer(at)])) as Record<LogLevel, FastifyBaseLogger['info']>,
    silent () {},
    child: (more) => createThreadLog(level, say, [...bindings, toLogged(more)])
  }
}

/** Writes a line that a thread has sent. */
export function writeLine (log: FastifyBaseLogger, { level, bindings, args }: LogLine): void {
  const child = bindings.reduce<FastifyBaseLogger>((parent, each) => parent.child(fromLogged(each) as object), log)
  child[level](...args.map(fromLogged) as [object])
}

/** Errors are sent as those that are thrown, what cannot be cloned as text: alone, or as a property. */
function toLogged (value: unknown): Logged {
  const isRecord = typeof value === 'object' && value !== null && [Object.prototype, null].includes(Object.getPrototypeOf(value))
  if (!isRecord) return toSendable(value)
  return { properties: Object.entries(value).map(([key, each]) => [key, toSendable(each)]) }
}

function toSendable (value: unknown): Thrown {
  return value instanceof Error ? toThrown(value) : { value: isCloneable(value) ? value : inspect(value) }
}

function fromLogged (logged: Logged): unknown {
  if (!('properties' in logged)) return fromThrown(logged)
  return Object.fromEntries(logged.properties.map(([key, each]) => [key, fromThrown(each)]))
}
