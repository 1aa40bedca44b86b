import { statSync } from 'node:fs'
import { isAbsolute, parse } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { describe } from '../describe'
import { FST_ERR_BACKGROUND_INVALID_TASK } from '../errors'

/** A function of a file. */
export interface WorkerFile {
  readonly url: string
  readonly exported: string
  /** What a task with this function goes by. */
  readonly name: string
}

// All that tasks were defined with in this process, until a thread has found that it is there.
const unseen = new Map<string, WorkerFile>()

/**
 * @param exported The name under which the file exports its function.
 * @throws {TypeError} `FST_ERR_BACKGROUND_INVALID_TASK` where there is no such file.
 */
export function toWorkerFile (file: unknown, exported: string): WorkerFile {
  const path = pathOf(file)
  if (path === undefined || statSync(path, { throwIfNoEntry: false })?.isFile() !== true) {
    throw new FST_ERR_BACKGROUND_INVALID_TASK('threadTask()', 'the absolute path or the file: URL of a file that is there',
      file instanceof URL ? file.href : describe(file))
  }
  return Object.freeze({ url: pathToFileURL(path).href, exported, name: exported === 'default' ? parse(path).name : exported })
}

/** It is to be looked into at boot. */
export function remember (file: WorkerFile): void {
  unseen.set(keyOf(file), file)
}

/** Those that no thread has looked into. */
export function unseenFiles (): WorkerFile[] {
  return [...unseen.values()]
}

/** A thread has found its function. */
export function markSeen (file: WorkerFile): void {
  unseen.delete(keyOf(file))
}

function pathOf (file: unknown): string | undefined {
  if (!(file instanceof URL) && !(typeof file === 'string' && file.startsWith('file:'))) {
    return typeof file === 'string' && isAbsolute(file) ? file : undefined
  }
  // Of another protocol, or of another host.
  try {
    return fileURLToPath(file)
  } catch {}
}

function keyOf ({ url, exported }: WorkerFile): string {
  return `${url}#${exported}`
}
