import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { turn } from './latch'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

// What a turn of the loop lets go of falls to the next collection: a leak does not fall to any.
const ROUNDS = 10

/** Whether an object is unreachable: collects garbage until it is gone, or gives up. */
export async function isCollected (ref: WeakRef<object>): Promise<boolean> {
  for (let round = 0; round < ROUNDS && ref.deref() !== undefined; round++) {
    await turn()
    collectGarbage()
  }
  return ref.deref() === undefined
}
