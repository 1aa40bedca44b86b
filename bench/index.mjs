// `npm run bench` asks every question, `npm run bench -- cost` one of them, and keeps what was measured in results/, which
// `npm run bench:report` makes the report of. `--smoke` asks briefly, to see that it works, and keeps nothing.
import { mkdir, writeFile } from 'node:fs/promises'
import { performance } from 'node:perf_hooks'
import process from 'node:process'
import { machine } from './lib/machine.mjs'
import { print } from './lib/print.mjs'
import { QUESTIONS, resultFile, RESULTS } from './lib/questions.mjs'
import { round } from './lib/round.mjs'

const smoke = process.argv.includes('--smoke')
const names = process.argv.slice(2).filter((name) => name !== '--smoke')
const unknown = names.find((name) => !QUESTIONS.includes(name))
if (unknown !== undefined) {
  console.error(`Unknown question "${unknown}": expected ${QUESTIONS.join(', ')}`)
  process.exit(1)
}

for (const name of names.length > 0 ? names : QUESTIONS) {
  console.log(`── ${name}`)
  const { measure, report } = await import(`./${name}.mjs`)
  const before = machine()
  const began = performance.now()
  const data = await measure({ smoke })
  const seconds = Math.round((performance.now() - began) / 1_000)
  print(report(data))
  console.log(`${name}: ${seconds} s\n`)
  if (!smoke) await keep(name, { question: name, date: new Date().toISOString(), seconds, machine: before, data })
}

async function keep (name, result) {
  await mkdir(RESULTS, { recursive: true })
  await writeFile(resultFile(name), `${JSON.stringify(round(result))}\n`)
}
