import { performance } from 'node:perf_hooks'
import { Fifo } from './fifo'

/** Something that waits for its turn: a run, a group, a lane, or a reply's queue with a run to start. */
export interface Startable {
  /** Must not throw. */
  start (): void
}

// Long enough to start hundreds of short tasks, short enough not to be felt by a request (R2).
const TURN_MS = 1

const ready = new Fifo<Startable>()
let scheduled = false

/**
 * Starts `item` in a later turn of the event loop, behind all that became ready before it. There is one dispatcher for
 * the process: however many replies have work, a turn gives it about a millisecond, then lets I/O go first.
 */
export function dispatch (item: Startable): void {
  ready.push(item)
  if (scheduled) return
  scheduled = true
  setImmediate(takeTurn)
}

function takeTurn (): void {
  const end = performance.now() + TURN_MS
  try {
    do {
      ready.shift()!.start()
    } while (ready.length > 0 && performance.now() < end)
  } finally {
    // What a start made ready has found `scheduled` set, and waits for this.
    scheduled = ready.length > 0
    if (scheduled) setImmediate(takeTurn)
  }
}
