// The format of a journal: a LevelDB database with two records for each task that is unfinished, failed or cancelled.
//
//   key          value: its checksum, and in JSON                            written
//   task!<seq>   { v, id, name, queuedAt, state, attempt, restarts,          when the task is stored, and at each
//                  due?, startedAt?, finishedAt?, error? }                   change of its state
//   args!<seq>   { v, args, reqId?, meta, retries }                          when the task is stored, in the same batch
//
// The checksum is the CRC-32 of the JSON in eight hexadecimal digits: LevelDB has sums of its own, but looks at none when
// it reads. <seq>: sixteen decimal digits, the order of storing. v: the version of the format, 1. Times are milliseconds
// since the epoch; `due` is when a task that waits may be delivered; the rest is as in engine.ts. Both records of a task
// go when it has completed. `attempt` counts the attempts that have ended, and the one at work.
//
// A task that is found `active` at opening was at work when its process died: that attempt counts as a restart, not as
// an attempt. The start of an attempt is not synced. The operating system has it, so that it outlives the process, but
// a power cut may take it back, as well as the removal of a task that has just ended: then the attempt is made again
// without being counted. What was stored has been synced, and stays.
//
// A `task!` record that is damaged, or of a newer version, is reported in the log at opening and left as it is: neither
// listed nor counted nor delivered. Where it is one of `args!`, the task fails as soon as it is to be delivered.
import { crc32 } from 'node:zlib'
import { describe } from '../describe'
import type { StoredError, StoredState, StoredTask } from './engine'
import { UnreadableRecord } from './journal-errors'

const VERSION = 1
const SEQ_DIGITS = 16
const CHECKSUM_DIGITS = 8

/** The keys of all `task!` records: '"' comes behind '!'. */
export const TASK_KEYS = { gt: 'task!', lt: 'task"' } as const

/** What is kept of a task beside its arguments. */
export interface TaskRecord {
  readonly id: string
  readonly name: string
  readonly queuedAt: number
  readonly state: Exclude<StoredState, 'completed'>
  readonly attempt: number
  readonly restarts: number
  readonly due?: number | undefined
  readonly startedAt?: number | undefined
  readonly finishedAt?: number | undefined
  readonly error?: StoredError | undefined
}

/** What of a task never changes. */
export type ArgsRecord = Pick<StoredTask, 'args' | 'reqId' | 'meta' | 'retries'>

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

export function encodeTask (record: TaskRecord): string {
  return encode(record)
}

export function encodeArgs ({ args, reqId, meta, retries }: ArgsRecord): string {
  return encode({ args, reqId, meta, retries })
}

/** @throws UnreadableRecord */
export function decodeTask (key: string, text: string | undefined): TaskRecord {
  return decode<TaskRecord>(key, text)
}

/** @throws UnreadableRecord */
export function decodeArgs (key: string, text: string | undefined): ArgsRecord {
  return decode<ArgsRecord>(key, text)
}

function encode (record: object): string {
  const json = JSON.stringify({ v: VERSION, ...record })
  return checksumOf(json) + json
}

function decode<T> (key: string, text: string | undefined): T {
  if (text === undefined) throw new UnreadableRecord(key, 'there is none')
  const json = text.slice(CHECKSUM_DIGITS)
  if (text !== checksumOf(json) + json) throw new UnreadableRecord(key, 'its checksum is wrong')
  const { v, ...record } = JSON.parse(json)
  if (v !== VERSION) throw new UnreadableRecord(key, `expected version ${VERSION}, got ${describe(v)}`)
  return record
}

function checksumOf (json: string): string {
  return crc32(json).toString(16).padStart(CHECKSUM_DIGITS, '0')
}

function digits (seq: number): string {
  return String(seq).padStart(SEQ_DIGITS, '0')
}
