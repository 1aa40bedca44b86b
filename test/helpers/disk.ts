import { ClassicLevel } from 'classic-level'
import type { Test } from 'tap'

/** Works on the files themselves, while no engine has them. */
export async function withFiles<T> (location: string, work: (level: ClassicLevel) => Promise<T>): Promise<T> {
  const level = new ClassicLevel(location)
  await level.open()
  try {
    return await work(level)
  } finally {
    await level.close()
  }
}

/** All records, as they are in the files. */
export async function recordsAt (location: string): Promise<Record<string, string>> {
  return await withFiles(location, async (level) => Object.fromEntries(await level.iterator().all()))
}

export interface Disk {
  /** How many batches have been written. */
  batches: number
  /** What is done about the next batches, and reads. */
  batch: 'works' | 'fails' | 'fails when it is written'
  read: 'works' | 'fails'
  /** How many of the next batches fail before they work. */
  failures: number
}

/** The disk as far as LevelDB tells of it, with failures at will. */
export function faultyDisk (t: Test): Disk {
  const disk: Disk = { batches: 0, batch: 'works', read: 'works', failures: 0 }
  const { batch, getMany } = ClassicLevel.prototype as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>
  async function faultyBatch (this: ClassicLevel, operations: unknown[], options: unknown): Promise<void> {
    // Of nothing, there is nothing to write.
    if (operations.length > 0 && (disk.batch === 'fails' || disk.failures-- > 0)) throw failure()
    await batch.call(this, operations, options)
    disk.batches++
    if (disk.batch === 'fails when it is written') throw failure()
  }
  async function faultyRead (this: ClassicLevel, ...args: unknown[]): Promise<unknown> {
    if (disk.read === 'fails') throw failure()
    return await getMany.apply(this, args)
  }
  Object.assign(ClassicLevel.prototype, { batch: faultyBatch, getMany: faultyRead })
  t.teardown(() => Object.assign(ClassicLevel.prototype, { batch, getMany }))
  return disk
}

function failure (): Error {
  return Object.assign(new Error('the disk has failed'), { code: 'LEVEL_IO_ERROR' })
}
