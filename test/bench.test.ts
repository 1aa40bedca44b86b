// The figures and the charts of the benchmarks are made by these functions. They are JavaScript, and no part of the package.
import t from 'tap'

interface Estimate { median: number, low: number, high: number }
interface Goal { limit: string, verdict: string }
interface Stats {
  median (values: number[]): number
  quantile (values: number[], share: number): number
  estimate (values: number[], together?: number): Estimate
  ratios (values: number[], of: number[]): number[]
  differences (values: number[], than: number[]): number[]
  goal (text: string, figure: Estimate | number, limit: { atMost?: number, atLeast?: number }): Goal
}
interface Table { columns: string[], rows: unknown[][], title?: string }
interface Tables { format (cell: unknown): string, textTable (table: Table): string, markdownTable (table: Table): string }
interface Charts { drawChart (chart: object): string }
interface Rounding { round (value: unknown): unknown }

t.test('the middle of an even number of values lies between two of them', async (t) => {
  const { median } = await stats()
  t.equal(median([9, 1, 5]), 5)
  t.equal(median([4, 1, 2, 9]), 3)
})

t.test('a quantile is one of the values', async (t) => {
  const { quantile } = await stats()
  const hundred = Array.from({ length: 100 }, (_, i) => 100 - i)
  t.equal(quantile(hundred, 0.99), 99)
  t.equal(quantile(hundred, 0.5), 50)
  t.equal(quantile(hundred, 0), 1)
  t.equal(quantile([7], 0.999), 7)
})

t.test('an estimate has its median within its interval, and is the same each time', async (t) => {
  const { estimate } = await stats()
  const values = [1, 4, 2, 8, 5, 7, 3, 6]
  const { median, low, high } = estimate(values)
  t.equal(median, 4.5)
  t.ok(low >= 1 && low < median && high > median && high <= 8)
  t.strictSame(estimate(values), { median, low, high })
  t.strictSame(estimate([3, 3, 3]), { median: 3, low: 3, high: 3 })
})

t.test('values of one process are drawn together: they say less than as many of several', async (t) => {
  const { estimate } = await stats()
  const values = [1, 1.1, 1.2, 9, 9.1, 9.2, 5, 5.1, 5.2, 2, 2.1, 2.2]
  const width = ({ low, high }: Estimate) => high - low
  t.ok(width(estimate(values, 3)) > width(estimate(values)))
})

t.test('pairs are compared one by one', async (t) => {
  const { ratios, differences } = await stats()
  t.strictSame(ratios([2, 9], [1, 3]), [2, 3])
  t.strictSame(differences([2, 9], [1, 3]), [1, 6])
})

t.test('a goal is met by its median, and says if the interval has both', async (t) => {
  const { goal } = await stats()
  const figure = { median: 1, low: 0.9, high: 1.2 }
  t.match(goal('cost', figure, { atMost: 1.3 }), { limit: 'at most 1.3', verdict: /^met$/ })
  t.match(goal('cost', figure, { atMost: 1.1 }), { verdict: /^met, but the interval has both$/ })
  t.match(goal('cost', figure, { atMost: 0.95 }), { verdict: /^not met, but the interval has both$/ })
  t.match(goal('cost', figure, { atMost: 0.5 }), { verdict: /^not met$/ })
  t.match(goal('rate', figure, { atLeast: 0.8 }), { limit: 'at least 0.8', verdict: /^met$/ })
  t.match(goal('rate', figure, { atLeast: 2 }), { verdict: /^not met$/ })
  t.match(goal('lost', 0, { atMost: 0 }), { verdict: /^met$/ })
})

t.test('figures are shown with as many digits as they are worth', async (t) => {
  const { format } = await load<Tables>('table')
  t.strictSame([0.01234, 0.5, 1.234, 12.34, 123.4, 1234.5, 1_000_000, 0].map(format),
    ['0.012', '0.50', '1.23', '12.3', '123', '1,235', '1,000,000', '0'])
  t.equal(format({ median: 1.5, low: 1.25, high: 2.125 }), '1.50 (1.25 … 2.13)')
  t.equal(format('–'), '–')
  t.equal(format(undefined), '')
})

t.test('a table has a line for each row, in a terminal and in Markdown', async (t) => {
  const { textTable, markdownTable } = await load<Tables>('table')
  const table = { title: 'Cost', columns: ['', 'µs'], rows: [['alone', 9.5], ['with a task', 11.25]] }
  t.equal(textTable(table), 'Cost\n               µs\nalone        9.50\nwith a task  11.3')
  t.equal(markdownTable(table), '**Cost**\n\n|  | µs |\n|---|---:|\n| alone | 9.50 |\n| with a task | 11.3 |')

  const untitled = { columns: ['a'], rows: [[1]] }
  t.equal(textTable(untitled), 'a\n1')
  t.equal(markdownTable(untitled), '| a |\n|---|\n| 1 |')
})

t.test('a chart of bars has a bar for each value, none for what is missing, and follows the scheme of the reader', async (t) => {
  const { drawChart } = await load<Charts>('chart')
  const value = { median: 5, low: 4, high: 10 }
  const svg = drawChart({
    kind: 'bars',
    title: 'Cost <&>',
    series: ['one', 'two'],
    bars: [{ label: 'ours', ours: true, values: [value, { median: 10, low: 10, high: 10 }] }, { label: 'theirs', ours: false, values: [value, '–'] }]
  })
  const bars = [...svg.matchAll(/<rect x="230" y="\d+" width="([\d.]+)" height="14" class="(ours|other) tone(\d)"/g)].map(([, ...parts]) => parts)
  t.strictSame(bars, [['170', 'ours', '0'], ['340', 'ours', '1'], ['170', 'other', '0']])
  t.match(svg, 'prefers-color-scheme: dark')
  t.match(svg, 'Cost &lt;&amp;&gt;')
  t.notMatch(svg, /NaN|undefined|Infinity/)
})

t.test('a chart of lines puts each power of ten as far from the last, and zero at the bottom', async (t) => {
  const { drawChart } = await load<Charts>('chart')
  const svg = drawChart({ kind: 'lines', title: 'Scale', series: [{ name: 'ours', points: [[10, 1], [100, 2], [1000, 4]] }] })
  const [, points] = /<polyline points="([^"]+)"/.exec(svg)!
  const [first, second, third] = points.split(' ').map((point) => point.split(',').map(Number))
  t.equal(second[0] - first[0], third[0] - second[0])
  t.equal(first[1] - third[1], 180)
  t.equal(second[1] - third[1], 120)
  t.notMatch(svg, /NaN|undefined|Infinity/)
})

t.test('what is kept has no more digits than were measured', async (t) => {
  const { round } = await load<Rounding>('round')
  t.strictSame(round({ values: [1.23456789, 123456789, 'text', null], at: 0.000123456789 }), { values: [1.2346, 123456789, 'text', null], at: 0.00012346 })
})

async function stats (): Promise<Stats> {
  return await load('stats')
}

async function load<T> (name: string): Promise<T> {
  return await import(`../bench/lib/${name}.mjs`)
}
