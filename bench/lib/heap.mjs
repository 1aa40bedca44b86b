import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'

/** The bytes of the heap after a garbage collection (`--expose-gc`). */
export const heap = () => collected(({ heapUsed }) => heapUsed)

/** The same, and of what objects hold outside it: buffers. */
export const memory = () => collected(({ heapUsed, external }) => heapUsed + external)

/** Connections and buffers are let go of in later turns, so it counts when it no longer shrinks. */
async function collected (of) {
  let last = Infinity
  for (;;) {
    await sleep(100)
    globalThis.gc()
    const bytes = of(process.memoryUsage())
    if (bytes >= last) return last
    last = bytes
  }
}
