import type { FastifyBaseLogger } from 'fastify'

function say (): void {}

/** A logger that says nothing. */
export const silentLogger: FastifyBaseLogger = {
  level: 'silent',
  fatal: say,
  error: say,
  warn: say,
  info: say,
  debug: say,
  trace: say,
  silent: say,
  child: () => silentLogger
}
