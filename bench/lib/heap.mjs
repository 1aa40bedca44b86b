import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'

/** The bytes of the heap after a garbage collection (`--expose-gc`): connections and buffers are let go of in later turns, so it counts when it no longer shrinks. */
export async function heap () {
  let last = Infinity
  for (;;) {
    await sleep(100)
    globalThis.gc()
    const { heapUsed } = process.memoryUsage()
    if (heapUsed >= last) return last
    last = heapUsed
  }
}
