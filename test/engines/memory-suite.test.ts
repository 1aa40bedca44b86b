import t from 'tap'
import type { Engine } from '../../lib/engines/engine'
import { Memory, MemoryEngine } from '../helpers/memory-engine'
import { engineSuite, type EngineStore } from './suite'

// What the tests of durable tasks stand on is an engine like any other.
for (const local of [true, false]) {
  engineSuite(t, `${local ? 'local' : 'remote'} memory`, async () => storeOf(local))
}

function storeOf (local: boolean): EngineStore {
  const memory = new Memory()
  return {
    engine: (options): Engine => new MemoryEngine({ local, memory, ...options }),
    async crash (engine) { (engine as MemoryEngine).crash() }
  }
}
