// What a question has found, for a terminal.
import { format, textTable } from './table.mjs'

export function print ({ tables, goals = [] }) {
  for (const table of tables) console.log(`${textTable(table)}\n`)
  for (const { text, figure, limit, verdict } of goals) console.log(`goal: ${text}: ${limit}: ${format(figure)}: ${verdict}`)
}
