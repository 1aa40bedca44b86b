// The format of a journal: a LevelDB database with two records for each task that is unfinished, failed or cancelled.
//
//   key          value, in JSON                                              written
//   task!<seq>   { v, id, name, state, attempt, restarts,                    when the task is stored, and at each
//                  due?, startedAt?, finishedAt?, error? }                   change of its state
//   args!<seq>   { v, args, reqId?, meta, retries, queuedAt }                when the task is stored, in the same batch
//
// <seq>: sixteen decimal digits, the order of storing. v: the version of the format, 1. Times are milliseconds since the
// epoch; `due` is when a task that waits may be delivered; the rest is as in engine.ts. Both records of a task go when it
// has completed. `attempt` counts the attempts that have ended, and the one at work.
//
// A task that is found `active` at opening was at work when its process died: that attempt counts as a restart, not as
// an attempt. The start of an attempt is not synced. The operating system has it, so that it outlives the process, but
// a power cut may take it back, as well as the removal of a task that has just ended: then the attempt is made again
// without being counted. What was stored has been synced, and stays.
//
// A record that is damaged, or of a newer version, is left as it is: reported in the log at opening (one of `args!` when
// its task is to be delivered), and neither listed nor counted nor delivered.
import { describe } from '../describe'
import type { StoredError, StoredState, StoredTask } from './engine'
import { UnreadableRecord } from './journal-errors'

const VERSION = 1
const SEQ_DIGITS = 16

/** The keys of all `task!` records: '"' comes behind '!'. */
export const TASK_KEYS = { gt: 'task!', lt: 'task"' } as const

/** What is kept of a task beside its arguments. */
export interface TaskRecord {
  readonly id: string
  readonly name: string
  readonly state: Exclude<StoredState, 'completed'>
  readonly attempt: number
  readonly restarts: number
  readonly due?: number | undefined
  readonly startedAt?: number | undefined
  readonly finishedAt?: number | undefined
  readonly error?: StoredError | undefined
}

/** What of a task never changes. */
export type ArgsRecord = Pick<StoredTask, 'args' | 'reqId' | 'meta' | 'retries' | 'queuedAt'>

export function taskKey (seq: number): string {
  return TASK_KEYS.gt + digits(seq)
}

export function argsKey (seq: number): string {
  return `args!${digits(seq)}`
}

/** @returns `undefined` for a key that is not one of a task. */
export function seqOf (key: string): number | undefined {
  const seq = Number(key.slice(TASK_KEYS.gt.length))
  return Number.isSafeInteger(seq) && key === taskKey(seq) ? seq : undefined
}

export function encodeTask ({ id, name, state, attempt, restarts, due, startedAt, finishedAt, error }: TaskRecord): string {
  return JSON.stringify({ v: VERSION, id, name, state, attempt, restarts, due, startedAt, finishedAt, error })
}

export function encodeArgs ({ args, reqId, meta, retries, queuedAt }: ArgsRecord): string {
  return JSON.stringify({ v: VERSION, args, reqId, meta, retries, queuedAt })
}

/** @throws UnreadableRecord */
export function decodeTask (key: string, text: string | undefined): TaskRecord {
  const record = decode<TaskRecord>(key, text, TASK_SHAPE)
  const { state, finishedAt } = record
  if (FINAL_STATES.includes(state) !== (finishedAt !== undefined)) {
    throw new UnreadableRecord(key, `its "finishedAt" is ${describe(finishedAt)}, and it is ${state}`)
  }
  return record
}

/** @throws UnreadableRecord */
export function decodeArgs (key: string, text: string | undefined): ArgsRecord {
  return decode<ArgsRecord>(key, text, ARGS_SHAPE)
}

type Shape<T> = Readonly<Record<keyof T, (value: unknown) => boolean>>

const FINAL_STATES: readonly unknown[] = ['failed', 'cancelled'] satisfies Array<TaskRecord['state']>
const STATES: readonly unknown[] = ['queued', 'active', 'retrying', ...FINAL_STATES]

const isText = (value: unknown): boolean => typeof value === 'string'
const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null && !Array.isArray(value)
const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0
const isTime = (value: unknown): boolean => typeof value === 'number'
const maybe = (holds: (value: unknown) => boolean) => (value: unknown): boolean => value === undefined || holds(value)
const isError = (value: unknown): boolean => isObject(value) && matches(value, ERROR_SHAPE) === undefined

const TASK_SHAPE: Shape<TaskRecord> = {
  id: isText,
  name: isText,
  state: (value) => STATES.includes(value),
  attempt: isCount,
  restarts: isCount,
  due: maybe(isTime),
  startedAt: maybe(isTime),
  finishedAt: maybe(isTime),
  error: maybe(isError)
}
const ARGS_SHAPE: Shape<ArgsRecord> = {
  args: Array.isArray,
  reqId: maybe(isText),
  meta: (value) => isObject(value) && Object.values(value).every(isText),
  retries: isCount,
  queuedAt: isTime
}
const ERROR_SHAPE: Shape<StoredError> = { name: isText, message: isText, code: maybe(isText), stack: maybe(isText) }

function decode<T> (key: string, text: string | undefined, shape: Shape<T>): T {
  if (text === undefined) throw new UnreadableRecord(key, 'there is none')
  const record = parse(key, text)
  if (!isObject(record)) throw new UnreadableRecord(key, `expected an object, got ${describe(record)}`)
  const { v } = record as { v?: unknown }
  if (v !== VERSION) throw new UnreadableRecord(key, `expected version ${VERSION}, got ${describe(v)}`)
  const wrong = matches(record, shape)
  if (wrong !== undefined) throw new UnreadableRecord(key, `its "${wrong}" is ${describe(record[wrong as keyof typeof record])}`)
  return record as T
}

/** @returns the first property that is not as it should be. */
function matches<T> (record: object, shape: Shape<T>): string | undefined {
  for (const [name, holds] of Object.entries<(value: unknown) => boolean>(shape)) {
    if (!holds((record as Record<string, unknown>)[name])) return name
  }
  return undefined
}

function parse (key: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new UnreadableRecord(key, 'it is not JSON', error)
  }
}

function digits (seq: number): string {
  return String(seq).padStart(SEQ_DIGITS, '0')
}
