// Makes RESULTS.md and the charts of what `npm run bench` has kept in results/.
import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { drawChart } from './lib/chart.mjs'
import { QUESTIONS, resultFile } from './lib/questions.mjs'
import { markdownTable } from './lib/table.mjs'

const CHARTS = new URL('charts/', import.meta.url)

const results = []
const missing = []
for (const name of QUESTIONS) {
  if (!existsSync(resultFile(name))) {
    missing.push(name)
    continue
  }
  const result = JSON.parse(await readFile(resultFile(name), 'utf8'))
  const { report } = await import(`./${name}.mjs`)
  results.push({ ...result, ...report(result.data), header: await headerOf(name) })
}

if (results.length === 0) throw new Error('There are no results yet: npm run bench')
await mkdir(CHARTS, { recursive: true })
for (const chart of results.flatMap(({ charts }) => charts)) await writeFile(new URL(`${chart.name}.svg`, CHARTS), drawChart(chart))
await writeFile(new URL('RESULTS.md', import.meta.url), `${document().join('\n\n')}\n`)

function document () {
  return [
    '# Results',
    'Made by `npm run bench:report` from what `npm run bench` has measured. Each figure is a median with its 95 % confidence ' +
      'interval in brackets. Trust the ratios over the figures: they are made of pairs that were measured next to each other.',
    machineTable(),
    ...missing.map((name) => `Not measured yet: ${name} (\`npm run bench -- ${name}\`).`),
    '## Goals',
    markdownTable({
      columns: ['goal', 'limit', 'measured', 'verdict'],
      rows: results.flatMap(({ goals, question }) => goals.map(({ text, limit, figure, verdict }) =>
        [`[${question}](#${question}): ${text}`, limit, figure, verdict.startsWith('met') ? verdict : `**${verdict}**`]))
    }),
    ...results.flatMap(section)
  ]
}

function section ({ question, header, tables, charts, seconds, date, machine }) {
  return [
    `## ${question}`,
    ...header,
    `Measured on ${date.slice(0, 10)}, in ${seconds} s, ${conditions(machine)}.`,
    ...charts.map(({ name, title }) => `![${title}](charts/${name}.svg)`),
    ...tables.map(markdownTable)
  ]
}

// What other programs did on the machine, and how far they were kept back.
function conditions ({ load, nice = 0 }) {
  return `with a load average of ${load} before${nice === 0 ? '' : `, at a priority of ${nice} (nice)`}`
}

function machineTable () {
  const { cpu, cores, memory, system, versions } = results[0].machine
  return markdownTable({
    columns: ['machine', ''],
    rows: [
      ['processor', `${cpu}, ${cores} cores`],
      ['memory', memory],
      ['system', system],
      ['versions', Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(', ')]
    ]
  })
}

/** What a question asks and how that is measured: the comment that its file starts with, in two paragraphs. */
async function headerOf (name) {
  const lines = (await readFile(new URL(`${name}.mjs`, import.meta.url), 'utf8')).split('\n')
  const comment = lines.slice(0, lines.findIndex((line) => !line.startsWith('//'))).map((line) => line.slice(3)).join(' ')
  const question = comment.indexOf('?') + 1
  const [, asked] = /^Question: (.*?\?)(?= [A-Z](?!.*\?))/.exec(comment) ?? [undefined, comment.slice('Question: '.length, question)]
  return [`**${asked}**`, comment.slice('Question: '.length + asked.length).trim()]
}
