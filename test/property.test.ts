import fc from 'fast-check'
import t from 'tap'
import type { Transport } from './property/clients'
import { programs } from './property/arbitraries'
import { run } from './property/driver'
import { found } from './property/found'

// Raised for a longer search; the other two replay what a failure prints.
const { PROPERTY_RUNS = '400', PROPERTY_SEED, PROPERTY_PATH } = process.env

// How long one program may hang before it counts as failed, in milliseconds.
const HANG = 60_000

const seed = Number(PROPERTY_SEED ?? Date.now() % 2 ** 31)

t.setTimeout(0)
t.comment(`PROPERTY_SEED=${seed}`)

for (const transport of ['http1', 'pipelined', 'http2'] satisfies Transport[]) {
  t.test(`the contract holds for any program over ${transport}`, { timeout: 0 }, async (t) => {
    await t.resolves(fc.assert(fc.asyncProperty(programs, (program) => run(program, transport)), {
      numRuns: Number(PROPERTY_RUNS),
      seed,
      path: PROPERTY_PATH,
      examples: found.map((program) => [program]),
      timeout: HANG,
      async asyncReporter (details) {
        if (!details.failed) return
        throw new Error([
          `PROPERTY_SEED=${details.seed} PROPERTY_PATH=${details.counterexamplePath}`,
          String(details.errorInstance),
          fc.defaultReportMessage(details)
        ].join('\n'))
      }
    }), 'no counterexample')
  })
}
