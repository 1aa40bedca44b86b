// `npm run bench` asks every question, `npm run bench -- cost` one of them; `--smoke` asks briefly, to see that it works.
import { cpus } from 'node:os'
import process from 'node:process'

const QUESTIONS = ['cost', 'fairness', 'memory', 'policy', 'concurrency', 'engines', 'otel', 'threads']

const smoke = process.argv.includes('--smoke')
const names = process.argv.slice(2).filter((name) => name !== '--smoke')
const unknown = names.find((name) => !QUESTIONS.includes(name))
if (unknown !== undefined) {
  console.error(`Unknown question "${unknown}": expected ${QUESTIONS.join(', ')}`)
  process.exit(1)
}

console.log(`Node ${process.version}, ${cpus().length} × ${cpus()[0].model}`)
for (const name of names.length > 0 ? names : QUESTIONS) {
  console.log(`\n${name}`)
  const { run } = await import(`./${name}.mjs`)
  await run({ smoke })
}
