// What every server of a peer on Node shares: its tasks, and the counts of what it accepted and ran.
import { openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'

const { BENCH_COUNTS, BENCH_TASK_MS } = process.env

export const port = Number(process.env.PORT)

// Long enough for the client to have left.
const HANDLER_MS = Number(BENCH_TASK_MS) / 2

let ran = 0

export async function asyncTask () {
  ran++
}

export function plainTask () {
  ran++
}

export function report () {
  const { user, system } = process.cpuUsage()
  return { cpu: user + system, ran }
}

// One byte each, in files: they outlive a process that is killed.
const files = BENCH_COUNTS === undefined
  ? {}
  : { accepted: openSync(join(BENCH_COUNTS, 'accepted'), 'a'), ran: openSync(join(BENCH_COUNTS, 'ran'), 'a') }

/** Counts a request whose task has been attached. */
export function accept () {
  writeSync(files.accepted, '.')
}

export async function record () {
  writeSync(files.ran, '.')
}

export async function recordLate () {
  await sleep(Number(BENCH_TASK_MS))
  writeSync(files.ran, '.')
}

export async function fail () {
  throw new Error('this task fails')
}

export async function waitForLeaving () {
  await sleep(HANDLER_MS)
}

export async function * halting () {
  yield Buffer.from('one')
  await sleep(HANDLER_MS)
  yield Buffer.from('two')
}

export async function * breaking () {
  yield Buffer.from('one')
  await sleep(1)
  throw new Error('the stream fails')
}
