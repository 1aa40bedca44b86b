import type { MessagePort } from 'node:worker_threads'
import type { TaskProgress } from '../types'
import type { Thrown } from './thrown'
import type { WorkerFile } from './worker-file'

/** What a thread is given. */
export interface Job {
  readonly file: WorkerFile
  /** `undefined`: only to see whether the file has the function. */
  readonly call: SentCall | undefined
  /** For all that is said, in both directions. */
  readonly port: MessagePort
}

export interface SentCall {
  readonly args: unknown[]
  /** Which of the arguments are buffers. */
  readonly buffers: readonly number[]
  readonly context: SentContext
}

/** What a thread knows of the task's context. */
export interface SentContext {
  readonly id: string
  readonly name: string
  readonly attempt: number
  /** Of its logger: what is below is not sent. */
  readonly logLevel: string
}

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const
export type LogLevel = typeof LOG_LEVELS[number]

/** A value in a line: as what is thrown is sent, or a plain object of such values. */
export type Logged = Thrown | { readonly properties: ReadonlyArray<readonly [key: string, value: Thrown]> }

export interface LogLine {
  readonly kind: 'log'
  readonly level: LogLevel
  /** Of the logger's children, the outermost first. */
  readonly bindings: readonly Logged[]
  readonly args: readonly Logged[]
}

/** What a thread says last. */
export type Answer =
  | { readonly kind: 'result', readonly result: unknown, readonly isBuffer: boolean }
  | { readonly kind: 'thrown', readonly thrown: Thrown }

/** What a thread says. */
export type FromThread =
  | { readonly kind: 'started' }
  | { readonly kind: 'progress', readonly progress: TaskProgress }
  | LogLine
  | Answer

/** What a thread is told: its signal is aborted. */
export interface ToThread {
  readonly reason: Thrown
}

/** Structured clone makes a Uint8Array of a Buffer: this makes a Buffer of it again, on the same memory. */
export function toBuffer ({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength)
}

/**
 * What a buffer has, in memory of its own: a clone brings all the memory that the buffer is a part of, such as the pool
 * that Node takes small ones from. Shared memory stays shared.
 */
export function inOwnMemory (bytes: Buffer): Uint8Array {
  const { buffer, byteLength } = bytes
  return byteLength === buffer.byteLength || buffer instanceof SharedArrayBuffer ? bytes : new Uint8Array(bytes)
}
