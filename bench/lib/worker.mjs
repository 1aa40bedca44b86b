// One variant of some work in a process of its own: does as it is ordered, and reports what that took.
import { performance } from 'node:perf_hooks'
import process from 'node:process'

const { variants } = await import(process.argv[2])
const work = await variants[process.argv[3]]()

process.on('message', async (order) => {
  const before = process.cpuUsage()
  const began = performance.now()
  const outcome = await work(order)
  const elapsed = (performance.now() - began) * 1000
  const { user, system } = process.cpuUsage(before)
  // What comes before and after may be left out by the variant.
  process.send({ cpu: outcome.cpu ?? user + system, elapsed: outcome.elapsed ?? elapsed, outcome })
})
// Whatever it still holds.
process.on('disconnect', () => process.exit())
process.send({})
