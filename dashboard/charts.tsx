import type { Second } from '../lib/dashboard/frame'
import { Chart, type Series } from './chart'
import { count, duration } from './format'

const SECONDS = 300

/** What the server says of a second, by its place in the tuple. */
type Column = 1 | 2 | 3 | 4 | 5 | 6

const perSecond = (value: number): string => `${count(value)}/s`

export function Charts ({ seconds, now }: { seconds: readonly Second[], now: number }) {
  const last = Math.floor(now / 1_000) - 1
  const times = Array.from({ length: SECONDS }, (_, i) => last - SECONDS + 1 + i)
  const byTime = new Map(seconds.map((second) => [second[0], second]))
  const column = (index: Column, none: number | null): Array<number | null> => times.map((time) => byTime.get(time)?.[index] ?? none)
  const ends: Series[] = [
    { label: 'completed', color: '--good', values: column(1, 0) },
    { label: 'failed attempts', color: '--bad', values: column(2, 0) }
  ]
  const quantiles = (p50: Column, p99: Column): Series[] => [
    { label: 'p50', color: '--line', values: column(p50, null) },
    { label: 'p99', color: '--warn', values: column(p99, null) }
  ]
  return (
    <section aria-labelledby='charts'>
      <h2 id='charts'>The last five minutes</h2>
      <div class='charts'>
        <Chart title='Throughput' times={times} series={ends} format={perSecond} />
        <Chart title='Time in the queue' times={times} series={quantiles(3, 4)} format={duration} hasGaps />
        <Chart title='Duration of an attempt' times={times} series={quantiles(5, 6)} format={duration} hasGaps />
      </div>
      <p class='note'>Of this process, each second by itself. Every run is counted; quantiles are right to within 5 %, those of the queue to a millisecond.</p>
    </section>
  )
}
