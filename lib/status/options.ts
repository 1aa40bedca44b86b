import type { FastifyReply, FastifyRequest, RegisterOptions, RouteShorthandOptions } from 'fastify'
import { aBoolean, aCount, aFunction, assertOptions, integer, milliseconds, type Check, type Checks } from '../checks'
import type { TaskRun, TaskSnapshot } from '../types'

const DEFAULT_PREFIX = '/tasks'
const DEFAULT_RETRY_AFTER = 1
const DEFAULT_MAX_WAIT = 30
const DEFAULT_MAX_LISTENERS = 1_000
const DEFAULT_INTERVAL = 100
const DEFAULT_HEARTBEAT = 15_000

const HOOKS = ['onRequest', 'preParsing', 'preValidation', 'preHandler'] as const

/** Fastify's hooks for the routes of the plugin: for authentication above all. */
export type StatusHooks = Pick<RouteShorthandOptions, typeof HOOKS[number]>

export interface StatusOptions extends StatusHooks {
  /**
   * Where the routes are: a path without parameters and without what a URL has to escape, below the prefix of the
   * instance, which may have both.
   * @default '/tasks'
   */
  prefix?: string
  /**
   * Who may see a run and cancel it: anything but `true` is a 404, as if there were no such run. What it throws or
   * rejects with is the reply.
   * @default everyone who knows its id
   */
  authorize?: (request: FastifyRequest, run: TaskSnapshot) => boolean | Promise<boolean>
  /** Whether the name, message and code of a run's error are shown; its stack never is. @default false */
  exposeErrors?: boolean
  /** Whether the result of a run is shown, as JSON has it. @default false */
  exposeResult?: boolean
  /**
   * Whether a run that completed with `{ location }`, a string, is answered by a 303 to there
   * (https://www.rfc-editor.org/rfc/rfc9110#status.303).
   * @default true
   */
  redirect?: boolean
  /** After how many seconds a client may ask again: an integer from 1 to 86 400. @default 1 */
  retryAfter?: number
  /**
   * How many seconds a request with `Prefer: wait` (https://www.rfc-editor.org/rfc/rfc7240#section-4.3) waits at most: an
   * integer from 0 to 3 600.
   * @default 30
   */
  maxWait?: number
  /** How many event streams and waits of this registration there may be at once: an integer of at least 1. @default 1_000 */
  maxListeners?: number
  /** How long a stream waits at least between two events of one state, in milliseconds: an integer from 0 to 60 000. @default 100 */
  interval?: number
  /**
   * How often a stream says that it is there, in milliseconds: an integer from 1 000 to 600 000. One that has not taken
   * what it was sent from one to the next is cut.
   * @default 15_000
   */
  heartbeat?: number
  /** Fastify's own, for the routes of the plugin. */
  logLevel?: RegisterOptions['logLevel']
  logSerializers?: RegisterOptions['logSerializers']
}

/** What the plugin adds to a reply. */
export interface AcceptedReply {
  /**
   * Replies with 202, `Location` and `Retry-After`, and with the status of a run
   * (https://www.rfc-editor.org/rfc/rfc9110#status.202): `return reply.accepted(run)`.
   *
   * @throws {TypeError} `FST_ERR_BACKGROUND_INVALID_TASK` for what is not a run.
   */
  accepted (run: TaskRun): FastifyReply
}

declare module 'fastify' {
  interface FastifyReply extends AcceptedReply {}
}

type Defaulted = 'prefix' | 'exposeErrors' | 'exposeResult' | 'redirect' | 'retryAfter' | 'maxWait' | 'maxListeners' | 'interval' | 'heartbeat'
export type ResolvedStatusOptions = Readonly<Required<Pick<StatusOptions, Defaulted>> & Omit<StatusOptions, Defaulted>>

// It goes into a header, and is to be the same for every reader: a \ is a / to some, and ".." is a step up.
const aPath: Check = ["'' or a path such as '/tasks', without parameters and without what a URL has to escape",
  (value) => typeof value === 'string' && /^(?:\/(?!\.\.?(?:\/|$))[\w.~!$&'+,;=@-]+)*$/.test(value)]
const hooks: Check = ['a function or a list of functions', (value) => [value].flat().every((each) => typeof each === 'function')]
const anything: Check = ['anything', () => true]

const CHECKS: Checks<StatusOptions> = {
  prefix: aPath,
  authorize: aFunction,
  exposeErrors: aBoolean,
  exposeResult: aBoolean,
  redirect: aBoolean,
  retryAfter: integer(86_400, 'an integer of seconds', 1),
  maxWait: integer(3_600, 'an integer of seconds'),
  maxListeners: aCount,
  interval: milliseconds(60_000),
  heartbeat: milliseconds(600_000, 1_000),
  onRequest: hooks,
  preParsing: hooks,
  preValidation: hooks,
  preHandler: hooks,
  logLevel: anything,
  logSerializers: anything
}

/** Checks the options and fills in the defaults. Throws `FST_ERR_BACKGROUND_INVALID_OPTION`. */
export function resolveStatusOptions (options: StatusOptions): ResolvedStatusOptions {
  assertOptions(options, CHECKS)
  return Object.freeze({
    ...options,
    prefix: options.prefix ?? DEFAULT_PREFIX,
    exposeErrors: options.exposeErrors ?? false,
    exposeResult: options.exposeResult ?? false,
    redirect: options.redirect ?? true,
    retryAfter: options.retryAfter ?? DEFAULT_RETRY_AFTER,
    maxWait: options.maxWait ?? DEFAULT_MAX_WAIT,
    maxListeners: options.maxListeners ?? DEFAULT_MAX_LISTENERS,
    interval: options.interval ?? DEFAULT_INTERVAL,
    heartbeat: options.heartbeat ?? DEFAULT_HEARTBEAT
  })
}

/** The hooks that were given, in the order in which Fastify runs them. */
export function hooksOf (options: StatusHooks): Array<[name: typeof HOOKS[number], hook: Function]> {
  return HOOKS.flatMap((name) => [options[name] ?? []].flat().map((hook): [typeof name, Function] => [name, hook]))
}
