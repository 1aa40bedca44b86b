import {
  aBoolean, aCount, aFunction, aName, anObject, assertOptions, atLeastOne, integer, milliseconds, type Check, type Checks
} from './checks'
import { definedBy, type Defined } from './defined'
import { describe } from './describe'
import type { Engine } from './engines/engine'
import { FST_ERR_BACKGROUND_INVALID_OPTION, FST_ERR_BACKGROUND_NO_ENGINE } from './errors'
import { assertPolicy, POLICY_CHECKS, resolvePolicy, type ResolvedPolicy } from './policy'
import { ANONYMOUS } from './task'
import type { BackgroundOptions, HistoryOptions } from './types'

const DEFAULT_CONCURRENCY = Infinity
const DEFAULT_MAX_PENDING = Infinity
const DEFAULT_CLOSE_TIMEOUT = 10_000
const DEFAULT_SETTLE_TIMEOUT = 60_000
const DEFAULT_STORE_TIMEOUT = 1_000
const DEFAULT_MAX_ARGS_SIZE = 1_048_576
const DEFAULT_MAX_RESTARTS = 3
const DEFAULT_UNKNOWN_TASK_GRACE = 600_000
const DEFAULT_HISTORY: ResolvedHistory = { count: 1_000, age: 3_600_000 }

// A shutdown waits in slices, one hook each, all registered at boot.
const MAX_CLOSE_TIMEOUT = 3_600_000

const MAX_STORE_TIMEOUT = 60_000
const MAX_RESTARTS = 1_000_000
const MAX_HISTORY = 1_000_000

// Fastify hands these to every plugin's options, for its own use.
export const FASTIFY_OPTIONS: readonly string[] = ['prefix', 'logLevel', 'logSerializers']

export type ResolvedHistory = Readonly<Required<HistoryOptions>>

export interface ResolvedOptions {
  /** Of tasks without one of their own. */
  readonly policy: ResolvedPolicy
  readonly concurrency: number
  readonly maxPending: number
  readonly closeTimeout: number
  readonly settleTimeout: number
  readonly onTaskError: BackgroundOptions['onTaskError']
  readonly autorun: boolean
  readonly engine: BackgroundOptions['engine']
  /** By their names. */
  readonly tasks: ReadonlyMap<string, Defined>
  readonly worker: boolean
  readonly storeTimeout: number
  readonly maxArgsSize: number
  readonly maxRestarts: number
  readonly unknownTaskGrace: number
  /** Whether it was asked for, or is as by default for who needs it. */
  readonly keepsHistory: boolean
  readonly history: ResolvedHistory
}

const ENGINE_METHODS = ['open', 'store', 'release', 'work', 'stop', 'close', 'find', 'list', 'counts', 'retry', 'cancel', 'watch'] as const

const anEngine: Check = ['an engine, as of journal() or bullmq()', (value) => anObject[1](value) && isEngine(value as Engine)]

const CHECKS: Checks<BackgroundOptions> = {
  ...POLICY_CHECKS,
  concurrency: atLeastOne,
  maxPending: atLeastOne,
  closeTimeout: milliseconds(MAX_CLOSE_TIMEOUT),
  settleTimeout: milliseconds(),
  onTaskError: aFunction,
  autorun: aBoolean,
  engine: anEngine,
  tasks: ['a list of definitions', Array.isArray],
  worker: aBoolean,
  storeTimeout: milliseconds(MAX_STORE_TIMEOUT, 1),
  maxArgsSize: aCount,
  maxRestarts: integer(MAX_RESTARTS),
  unknownTaskGrace: milliseconds(),
  history: anObject
}

const HISTORY_CHECKS: Checks<HistoryOptions> = {
  count: integer(MAX_HISTORY),
  age: milliseconds()
}

/** Checks the plugin's options and fills in the defaults. Throws `FST_ERR_BACKGROUND_INVALID_OPTION`. */
export function resolveOptions (options: BackgroundOptions): ResolvedOptions {
  assertPolicy(options, CHECKS, FASTIFY_OPTIONS)
  if (options.history !== undefined) assertOptions(options.history, HISTORY_CHECKS, [], 'history.')
  return Object.freeze({
    policy: resolvePolicy(options),
    concurrency: options.concurrency ?? DEFAULT_CONCURRENCY,
    maxPending: options.maxPending ?? DEFAULT_MAX_PENDING,
    closeTimeout: options.closeTimeout ?? DEFAULT_CLOSE_TIMEOUT,
    settleTimeout: options.settleTimeout ?? DEFAULT_SETTLE_TIMEOUT,
    onTaskError: options.onTaskError,
    autorun: options.autorun ?? true,
    engine: options.engine,
    tasks: tasksOf(options),
    worker: workerOf(options),
    storeTimeout: options.storeTimeout ?? DEFAULT_STORE_TIMEOUT,
    maxArgsSize: options.maxArgsSize ?? DEFAULT_MAX_ARGS_SIZE,
    maxRestarts: options.maxRestarts ?? DEFAULT_MAX_RESTARTS,
    unknownTaskGrace: options.unknownTaskGrace ?? DEFAULT_UNKNOWN_TASK_GRACE,
    keepsHistory: options.history !== undefined,
    history: resolveHistory(options.history)
  })
}

function isEngine (engine: Partial<Engine>): boolean {
  return aName[1](engine.name) && typeof engine.features?.local === 'boolean' &&
    ENGINE_METHODS.every((method) => typeof engine[method] === 'function')
}

function resolveHistory ({ count, age }: HistoryOptions = {}): ResolvedHistory {
  return Object.freeze({ count: count ?? DEFAULT_HISTORY.count, age: age ?? DEFAULT_HISTORY.age })
}

function tasksOf ({ engine, tasks = [] }: BackgroundOptions): ReadonlyMap<string, Defined> {
  const byName = new Map<string, Defined>()
  for (const [index, task] of tasks.entries()) {
    const defined = typeof task === 'function' ? definedBy(task) : undefined
    if (defined === undefined) throw new FST_ERR_BACKGROUND_INVALID_OPTION(`tasks[${index}]`, 'a definition, as of defineTask()', describe(task))
    const { name } = defined.options
    if (name === ANONYMOUS) throw new FST_ERR_BACKGROUND_INVALID_OPTION(`tasks[${index}]`, 'a definition with a name', 'one without')
    if (byName.has(name)) throw new FST_ERR_BACKGROUND_INVALID_OPTION(`tasks[${index}]`, 'a name of its own', `"${name}" again`)
    if (defined.options.durable === true && engine === undefined) throw new FST_ERR_BACKGROUND_NO_ENGINE(name, 'is durable, and there is no "engine"')
    byName.set(name, defined)
  }
  return byName
}

function workerOf ({ engine, worker = true }: BackgroundOptions): boolean {
  if (!worker && engine?.features.local === true) {
    throw new FST_ERR_BACKGROUND_INVALID_OPTION('worker', `true with the engine ${engine.name}: no other process can work on what it holds`, 'false')
  }
  return worker
}
