import { aFunction, atLeastOne, milliseconds, type Checks } from './checks'
import { assertPolicy, POLICY_CHECKS, resolvePolicy, type ResolvedPolicy } from './policy'
import type { BackgroundOptions } from './types'

const DEFAULT_CONCURRENCY = Infinity
const DEFAULT_MAX_PENDING = Infinity
const DEFAULT_CLOSE_TIMEOUT = 10_000
const DEFAULT_SETTLE_TIMEOUT = 60_000

// A shutdown waits in slices, one hook each, all registered at boot.
const MAX_CLOSE_TIMEOUT = 3_600_000

// Fastify hands these to every plugin's options, for its own use.
const FASTIFY_OPTIONS: readonly string[] = ['prefix', 'logLevel', 'logSerializers']

export interface ResolvedOptions {
  /** Of tasks without one of their own. */
  readonly policy: ResolvedPolicy
  readonly concurrency: number
  readonly maxPending: number
  readonly closeTimeout: number
  readonly settleTimeout: number
  readonly onTaskError: BackgroundOptions['onTaskError']
}

const CHECKS: Checks<BackgroundOptions> = {
  ...POLICY_CHECKS,
  concurrency: atLeastOne,
  maxPending: atLeastOne,
  closeTimeout: milliseconds(MAX_CLOSE_TIMEOUT),
  settleTimeout: milliseconds(),
  onTaskError: aFunction
}

/** Checks the plugin's options and fills in the defaults. Throws `FST_ERR_BACKGROUND_INVALID_OPTION`. */
export function resolveOptions (options: BackgroundOptions): ResolvedOptions {
  assertPolicy(options, CHECKS, FASTIFY_OPTIONS)
  return Object.freeze({
    policy: resolvePolicy(options),
    concurrency: options.concurrency ?? DEFAULT_CONCURRENCY,
    maxPending: options.maxPending ?? DEFAULT_MAX_PENDING,
    closeTimeout: options.closeTimeout ?? DEFAULT_CLOSE_TIMEOUT,
    settleTimeout: options.settleTimeout ?? DEFAULT_SETTLE_TIMEOUT,
    onTaskError: options.onTaskError
  })
}
