// Tables of figures, for a terminal and for Markdown.

/** A number of three digits or so; an estimate with its interval; anything else as it is. */
export function format (cell) {
  if (typeof cell === 'number') return formatNumber(cell)
  if (typeof cell?.median !== 'number') return String(cell ?? '')
  return `${formatNumber(cell.median)} (${formatNumber(cell.low)} … ${formatNumber(cell.high)})`
}

export function formatNumber (value) {
  if (Number.isInteger(value) || Math.abs(value) >= 1_000) return Math.round(value).toLocaleString('en-US')
  const decimals = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2
  return value.toFixed(Math.abs(value) < 0.1 ? 3 : decimals)
}

export function textTable ({ title, columns, rows }) {
  const lines = [columns, ...rows].map((row) => row.map(format))
  const widths = columns.map((_, i) => Math.max(...lines.map((line) => line[i].length)))
  const text = lines.map((line) => line.map((cell, i) => i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])).join('  '))
  return [...title === undefined ? [] : [title], ...text].join('\n')
}

export function markdownTable ({ title, columns, rows }) {
  const line = (cells) => `| ${cells.map(format).join(' | ')} |`
  const rule = `|${columns.map((_, i) => i === 0 ? '---' : '---:').join('|')}|`
  return [...title === undefined ? [] : [`**${title}**`, ''], line(columns), rule, ...rows.map(line)].join('\n')
}
