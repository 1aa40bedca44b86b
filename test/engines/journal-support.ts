import { cpSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { Engine } from '../../lib/engines/engine'
import { journal, type JournalOptions } from '../../lib/engines/journal'
import { ignore } from '../../lib/engines/journal-errors'
import type { EngineStore } from './suite'

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
