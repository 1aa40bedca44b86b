import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import Fastify, { type FastifyBaseLogger } from 'fastify'
import type { Test } from 'tap'
import type { Engine } from '../../lib/engines/engine'
import { journal, type JournalOptions } from '../../lib/engines/journal'
import { ignore } from '../../lib/engines/quietly'
import type { EngineStore } from '../engines/suite'
import { memoryLogger, type Line } from './app'

/** A directory of its own for a test. */
export interface JournalStore extends EngineStore {
  engine: (options?: Partial<JournalOptions>) => Engine
  /** Where the next engine is. */
  location: () => string
}

export function journalStore (t: Test): JournalStore {
  const directory = t.testdir()
  let generation = 0
  const location = (): string => join(directory, `journal-${generation}`)
  return {
    location,
    engine: (options) => journal({ location: location(), ...options }),
    async crash (engine) {
      // What has come to the operating system by now is what a kill would leave. The rest goes to a place that nobody reads.
      const died = location()
      generation++
      cpSync(died, location(), { recursive: true })
      engine.close().catch(ignore)
    }
  }
}

/** A log of an engine, and what it has said. */
export function engineLog (): { log: FastifyBaseLogger, lines: Line[] } {
  const { logger, lines } = memoryLogger()
  return { log: Fastify({ logger }).log, lines }
}

/** How many timers there are in this process. */
export function timers (): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
}

/** Reads or changes a journal that nobody has opened. */
export async function withLevel<T> (location: string, action: (level: ClassicLevel) => Promise<T>): Promise<T> {
  const level = new ClassicLevel(location)
  try {
    return await action(level)
  } finally {
    await level.close()
  }
}
