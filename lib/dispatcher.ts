import { AsyncResource } from 'node:async_hooks'
import { performance } from 'node:perf_hooks'
import process from 'node:process'
import timers from 'node:timers'
import { now } from './clock'
import { Fifo } from './fifo'

// As they are now. A test's fake clock takes their place for a while: a turn that was asked of it might never come, and
// the dispatcher, which serves all applications of the process, would wait for it for ever.
const { setImmediate } = timers
const { nextTick } = process

/** Something that waits for its turn: a run, a group, a lane, or a reply's queue with a run to start. */
export interface Startable {
  /**
   * Must not throw.
   *
   * @param time When that is, as `now()` tells it: the dispatcher has just looked.
   */
  start (time: number): void
}

// Long enough to start hundreds of short tasks, short enough not to be felt by a request (R2).
const TURN_MS = 1

// A turn belongs to nobody: it is not to hold the stores of the place that asked for it.
const outside = new AsyncResource('BackgroundDispatcher')

// What waits for a turn of the event loop, and what may still have its start in the present one.
const ready = new Fifo<Startable>()
const successors = new Fifo<Startable>()
// Which of them is being worked off.
let atWork: Fifo<Startable> | null = null
let scheduled = false
// Of the dispatcher's last turn: by the clock of `performance`, which has fractions and is never set, and by `now()`.
let beginning = -Infinity
let beginningTime = 0

/**
 * Starts `item` in a turn of the dispatcher: the present one, if there is one, else a later turn of the event loop, behind
 * all that wait for that. There is one dispatcher for the process: however many replies have work, a turn gives it about a
 * millisecond, then lets I/O go first.
 */
export function dispatch (item: Startable): void {
  if (atWork !== null) {
    atWork.push(item)
    return
  }
  ready.push(item)
  if (scheduled) return
  scheduled = true
  outside.runInAsyncScope(setImmediate, undefined, takeTurn)
}

/**
 * Starts `item` in the place of another that has just ended. If the dispatcher's last turn has time left, it is part of
 * that: a turn of the event loop for every few runs of short asynchronous tasks cost a third of their time.
 */
export function dispatchSuccessor (item: Startable): void {
  if (atWork !== null || (successors.length === 0 && performance.now() - beginning >= TURN_MS)) {
    dispatch(item)
    return
  }
  // Behind what else has ended, and what follows from that.
  if (successors.length === 0) nextTick(goOn)
  successors.push(item)
}

function takeTurn (): void {
  beginning = performance.now()
  beginningTime = now()
  try {
    workOff(ready, 0)
  } finally {
    // What a start made ready has found `scheduled` set, and waits for this.
    scheduled = ready.length > 0
    if (scheduled) setImmediate(takeTurn)
  }
}

function goOn (): void {
  try {
    workOff(successors, performance.now() - beginning)
  } finally {
    for (const item of successors.drain()) dispatch(item)
  }
}

/**
 * Starts one item at least, then others until the end of the turn.
 *
 * @param passed How long ago the turn began, in milliseconds.
 */
function workOff (items: Fifo<Startable>, passed: number): void {
  atWork = items
  try {
    do {
      // A second clock for each run is a thirtieth of what a short one costs.
      items.shift()!.start(beginningTime + (passed | 0))
      passed = performance.now() - beginning
    } while (items.length > 0 && passed < TURN_MS)
  } finally {
    atWork = null
  }
}
