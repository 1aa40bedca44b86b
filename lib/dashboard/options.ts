import type { LogLevel, RegisterOptions, RouteShorthandOptions } from 'fastify'
import { aBoolean, anObject, assertOptions, type Check, type Checks } from '../checks'
import { FST_ERR_BACKGROUND_INVALID_OPTION } from '../errors'

const DEFAULT_PREFIX = '/background'

type Hooks = Pick<RouteShorthandOptions, 'onRequest' | 'preValidation' | 'preHandler'>

/**
 * The options of the dashboard. Without a hook that asks who it is, it is not registered, unless `allowAnonymous` says
 * so: who sees it can read errors, and cancel tasks.
 */
export interface DashboardOptions extends Hooks {
  /** Where the page is: a path such as `/admin/background`, without a slash at its end. @default '/background' */
  prefix?: string
  /** Whether it may do without a hook, because something in front of it asks who it is. @default false */
  allowAnonymous?: boolean
  /** Whether the arguments of tasks are shown: they may hold what is not for everybody. @default false */
  showArguments?: boolean
  /** Of the requests for the page and its data. @default as the application's */
  logLevel?: LogLevel
  /** Of the requests for the page and its data, beside those of the application. @default none */
  logSerializers?: RegisterOptions['logSerializers']
}

export interface ResolvedDashboardOptions {
  readonly prefix: string
  readonly hooks: Hooks
  readonly showArguments: boolean
  readonly logLevel: LogLevel | undefined
  readonly logSerializers: RegisterOptions['logSerializers']
}

const HOOKS = ['onRequest', 'preValidation', 'preHandler'] as const

const hooks: Check = ['a function, or a list of at least one', (value) =>
  [value].flat().every((each) => typeof each === 'function') && [value].flat().length > 0]

const CHECKS: Checks<DashboardOptions> = {
  prefix: ['a path without a slash at its end, such as "/background"', (value) => typeof value === 'string' && /^(?:\/[^/?#\s]+)*$/.test(value)],
  onRequest: hooks,
  preValidation: hooks,
  preHandler: hooks,
  allowAnonymous: aBoolean,
  showArguments: aBoolean,
  logLevel: ['a level of the log', (value) => typeof value === 'string'],
  logSerializers: anObject
}

/** @throws `FST_ERR_BACKGROUND_INVALID_OPTION` for a wrong or unknown one, and where nothing asks who it is. */
export function resolveDashboardOptions (options: DashboardOptions): ResolvedDashboardOptions {
  assertOptions(options, CHECKS)
  const given = HOOKS.filter((name) => options[name] !== undefined)
  if (given.length === 0 && options.allowAnonymous !== true) {
    throw new FST_ERR_BACKGROUND_INVALID_OPTION('onRequest',
      'a hook that authenticates (onRequest, preValidation or preHandler), or "allowAnonymous: true"', 'none')
  }
  return Object.freeze({
    prefix: options.prefix ?? DEFAULT_PREFIX,
    hooks: Object.fromEntries(given.map((name) => [name, options[name]])),
    showArguments: options.showArguments ?? false,
    logLevel: options.logLevel,
    logSerializers: options.logSerializers
  })
}
