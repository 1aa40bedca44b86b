// Charts as SVG, without a program to draw them: they follow the reader's light or dark scheme by themselves.
import { formatNumber } from './table.mjs'

const WIDTH = 760
const LABELS = 230
const VALUES = 190
const BAR = 16
const GAP = 10
const TOP = 44
const LEGEND = 22
const TONES = 3

const STYLE = `<style>
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600; font-size: 15px }
  .value { font-size: 12px; fill: #59636e }
  .ours { fill: #0969da } .other { fill: #8c959f } .ours.line, .line { fill: none; stroke-width: 2 }
  .tone1 { opacity: .7 } .tone2 { opacity: .45 }
  .range { stroke: #1f2328 } .axis { stroke: #d1d9e0 }
  .line0 { stroke: #0969da; fill: #0969da } .line1 { stroke: #bc4c00; fill: #bc4c00 } .line2 { stroke: #1a7f37; fill: #1a7f37 }
  polyline { fill: none !important; stroke-width: 2 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .value { fill: #9198a1 }
    .ours { fill: #4493f8 } .other { fill: #656c76 }
    .range { stroke: #f0f6fc } .axis { stroke: #3d444d }
    .line0 { stroke: #4493f8; fill: #4493f8 } .line1 { stroke: #db6d28; fill: #db6d28 } .line2 { stroke: #3fb950; fill: #3fb950 }
  }
</style>`

/** A chart as a question describes it: `bars` or `lines`. */
export function drawChart (chart) {
  return chart.kind === 'bars' ? drawBars(chart) : drawLines(chart)
}

/**
 * Horizontal bars with their 95 % intervals, from zero.
 *
 * @param series what the values of each bar are, if there are several
 * @param bars `{ label, ours, values: [{ median, low, high }] }`
 */
export function drawBars ({ title, series = [], bars }) {
  const most = Math.max(...bars.flatMap(({ values }) => values.map(({ high = 0 }) => high)))
  const x = (value) => round(LABELS + value / most * (WIDTH - LABELS - VALUES))
  const parts = []
  let y = TOP
  if (series.length > 1) {
    parts.push(...series.map((name, i) => legend(LABELS + i * 150, y, tone(i), name)))
    y += LEGEND
  }
  for (const { label, ours, values } of bars) {
    parts.push(text(LABELS - 10, y + values.length * BAR / 2 + 4, label, 'text-anchor="end"'))
    for (const [i, value] of values.entries()) {
      // What a peer cannot do has no figure.
      if (typeof value === 'object') parts.push(...bar(x, y, tone(i, ours), value))
      y += BAR
    }
    y += GAP
  }
  return svg(title, y, parts)
}

function bar (x, y, classes, { median, low, high }) {
  const middle = y + BAR / 2
  return [
    `<rect x="${LABELS}" y="${y + 1}" width="${round(x(median) - LABELS)}" height="${BAR - 2}" class="${classes}"/>`,
    `<line x1="${x(low)}" x2="${x(high)}" y1="${middle}" y2="${middle}" class="range"/>`,
    text(x(high) + 8, middle + 4, formatNumber(median), 'class="value"')
  ]
}

/**
 * Lines over a logarithmic x axis, from zero.
 *
 * @param series `{ name, points: [[x, y]] }`, ours first
 */
export function drawLines ({ title, series }) {
  const [left, right, height] = [60, WIDTH - 30, 240]
  const xs = [...new Set(series.flatMap(({ points }) => points.map(([at]) => at)))].sort((a, b) => a - b)
  const most = Math.max(...series.flatMap(({ points }) => points.map(([, value]) => value)))
  const logs = [Math.log10(xs[0]), Math.log10(xs.at(-1))]
  const x = (value) => round(left + (Math.log10(value) - logs[0]) / (logs[1] - logs[0]) * (right - left))
  const top = TOP + LEGEND + 10
  const y = (value) => round(top + height - value / most * height)
  const parts = series.map(({ name }, i) => legend(left + i * 180, TOP, `line${i}`, name))
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    parts.push(`<line x1="${left}" x2="${right}" y1="${y(share * most)}" y2="${y(share * most)}" class="axis"/>`)
    parts.push(text(left - 8, y(share * most) + 4, formatNumber(share * most), 'class="value" text-anchor="end"'))
  }
  for (const at of xs) parts.push(text(x(at), top + height + 20, formatNumber(at), 'class="value" text-anchor="middle"'))
  for (const [i, { points }] of series.entries()) {
    parts.push(`<polyline points="${points.map(([at, value]) => `${x(at)},${y(value)}`).join(' ')}" class="line${i}"/>`)
    for (const [at, value] of points) parts.push(`<circle cx="${x(at)}" cy="${y(value)}" r="3" class="line${i}"/>`)
  }
  return svg(title, top + height + 34, parts)
}

function svg (title, height, parts) {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">
<title>${escape(title)}</title>
${STYLE}
${text(10, 24, title, 'class="title"')}
${parts.join('\n')}
</svg>
`
}

function legend (x, y, classes, name) {
  return `<rect x="${x}" y="${y - 10}" width="12" height="12" class="${classes}"/>${text(x + 18, y + 1, name, '')}`
}

function tone (index, ours = true) {
  return `${ours ? 'ours' : 'other'} tone${index % TONES}`
}

function text (x, y, content, attributes) {
  return `<text x="${x}" y="${y}" ${attributes}>${escape(content)}</text>`
}

function escape (content) {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

function round (value) {
  return Math.round(value * 10) / 10
}
