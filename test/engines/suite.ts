// What every engine has to do, by lib/engines/engine.ts. Run with each: `engineSuite(t, 'journal', makeStore)`.
import type { Test } from 'tap'
import { delivering } from './suite-delivering'
import { inspecting } from './suite-inspecting'
import { storing } from './suite-storing'
import { surviving } from './suite-surviving'
import { Bench, type EngineStore } from './suite-support'

export type { EngineStore } from './suite-support'

/** A rule that every engine has to keep. */
export interface Rule {
  readonly says: string
  readonly holds: (t: Test, bench: Bench) => Promise<void>
}

/** @param makeStore A store of its own for each test, with nothing in it. */
export function engineSuite (t: Test, name: string, makeStore: (t: Test) => Promise<EngineStore>): void {
  for (const { says, holds } of [...storing, ...delivering, ...surviving, ...inspecting]) {
    t.test(`${name}: ${says}`, async (t) => {
      await holds(t, new Bench(t, await makeStore(t)))
    })
  }
}
