import { ClassicLevel } from 'classic-level'
import type { Test } from 'tap'

export interface Level {
  /** What was written, in that order: how many records at once, and whether they were synced. */
  readonly batches: Array<{ readonly size: number, readonly sync: boolean }>
  /** What comes before each of these: it may wait, and what it throws is what the call rejects with. */
  readonly before: { batch?: Step | undefined, get?: Step | undefined, open?: Step | undefined }
  /** What comes behind a batch that has been written, if set. */
  afterBatch: Step | undefined
}

type Step = () => void | Promise<void>
type Method = (...args: any[]) => Promise<unknown>

/** Watches all databases of this process, and makes them wait or fail, as long as the test runs. */
export function watchLevel (t: Test): Level {
  const level: Level = { batches: [], before: {}, afterBatch: undefined }
  const { batches, before } = level
  const prototype = ClassicLevel.prototype as unknown as Record<'batch' | 'get' | 'open', Method>
  const { batch, get, open } = prototype
  prototype.batch = async function (operations, options) {
    // LevelDB is not asked where there is nothing to do.
    if (operations.length > 0) await before.batch?.()
    await batch.call(this, operations, options)
    if (operations.length === 0) return
    batches.push({ size: operations.length, sync: options.sync })
    await level.afterBatch?.()
  }
  prototype.get = async function (...args) {
    await before.get?.()
    return await get.apply(this, args)
  }
  prototype.open = async function (...args) {
    try {
      await before.open?.()
    } catch (cause) {
      throw new Error('it is not open', { cause })
    }
    return await open.apply(this, args)
  }
  // What they hide is the prototype's prototype's.
  t.teardown(() => { for (const name of ['batch', 'get', 'open'] as const) Reflect.deleteProperty(prototype, name) })
  return level
}

/** What a failing disk does. */
export function failing (message: string, code = 'LEVEL_IO_ERROR'): Step {
  return () => { throw Object.assign(new Error(message), { code }) }
}

/** The same, once: what comes after it works. */
export function failingOnce (before: Level['before'], name: keyof Level['before'], message: string): Step {
  return () => {
    before[name] = undefined
    failing(message)()
  }
}
