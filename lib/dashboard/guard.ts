import type { FastifyReply, FastifyRequest, HookHandlerDoneFunction } from 'fastify'
import { FST_ERR_BACKGROUND_CROSS_SITE } from '../errors'

// No form and no link can send it, and a script of another origin only after the server has agreed.
const HEADER = 'x-background-dashboard'

/** Its own scripts and styles, no inline ones, and its own server: whatever got into the page could neither run nor tell. */
export const HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin'
}

export function addHeaders (_request: FastifyRequest, reply: FastifyReply, payload: unknown, done: (error: null, payload: unknown) => void): void {
  reply.headers(HEADERS)
  done(null, payload)
}

/**
 * Lets pass what the page itself has sent (https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html):
 * JSON with a header of its own, from the same origin as far as the browser says.
 */
export function refuseCrossSite (request: FastifyRequest, _reply: FastifyReply, done: HookHandlerDoneFunction): void {
  const { headers } = request
  const isJson = /^application\/json\s*(?:;|$)/i.test(headers['content-type'] ?? '')
  if (isJson && headers[HEADER] === '1' && isSameOrigin(request)) done()
  else done(new FST_ERR_BACKGROUND_CROSS_SITE())
}

function isSameOrigin ({ headers, host }: FastifyRequest): boolean {
  const site = headers['sec-fetch-site']
  if (site !== undefined) return site === 'same-origin'
  // Browsers leave it out where the connection is not secure.
  const { origin } = headers
  return origin === undefined || (URL.canParse(origin) && new URL(origin).host === host.toLowerCase())
}
