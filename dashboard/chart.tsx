import { useEffect, useRef } from 'preact/hooks'
import UPlot, { type AlignedData } from 'uplot'
import { hour } from './format'
import { useDark } from './use-dark'

const HEIGHT = 140
const AXIS_WIDTH = 64

export interface Series {
  readonly label: string
  /** A variable of the style sheet. */
  readonly color: string
  readonly values: Array<number | null>
}

interface ChartProps {
  title: string
  times: number[]
  series: Series[]
  format: (value: number) => string
  /** Whether a value may stand alone. */
  hasGaps?: boolean
}

/** A chart, and in words what it comes to. */
export function Chart ({ title, times, series, format, hasGaps = false }: ChartProps) {
  const place = useRef<HTMLDivElement>(null)
  const plot = useRef<UPlot | undefined>(undefined)
  const isDark = useDark()
  const data: AlignedData = [times, ...series.map(({ values }) => values)]

  useEffect(() => {
    const element = place.current!
    plot.current = draw(element, series, format, hasGaps, data)
    const observer = new ResizeObserver(() => { plot.current?.setSize({ width: element.clientWidth, height: HEIGHT }) })
    observer.observe(element)
    return () => {
      observer.disconnect()
      plot.current?.destroy()
    }
  }, [isDark])

  useEffect(() => { plot.current?.setData(data) }, [times.at(-1), series])

  return (
    <figure class='chart'>
      <figcaption>
        <h3>{title}</h3>
        <ul>
          {series.map(({ label, color, values }) => (
            <li key={label}><i class={`swatch swatch${color}`} />{label} <b>{shown(values, format)}</b></li>
          ))}
        </ul>
      </figcaption>
      <div ref={place} class='plot' role='img' aria-label={`${title}, a chart. ${inWords(series, format)}`} />
    </figure>
  )
}

function draw (element: HTMLElement, series: Series[], format: (value: number) => string, hasGaps: boolean, data: AlignedData): UPlot {
  const style = getComputedStyle(element)
  const axis = { stroke: style.getPropertyValue('--dim'), grid: { stroke: style.getPropertyValue('--grid'), width: 1 }, ticks: { show: false } }
  return new UPlot({
    width: element.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    scales: { y: { range: (_plot, _min, max) => [0, max > 0 ? max * 1.1 : 1] } },
    axes: [
      // In seconds, of five minutes: uPlot's own choice after one minute is five.
      { ...axis, space: 60, size: 30, incrs: [60, 120, 300], values: (_plot, values) => values.map(hour) },
      { ...axis, size: AXIS_WIDTH, values: (_plot, values) => values.map(format) }
    ],
    series: [{}, ...series.map(({ label, color }) => ({
      label, stroke: style.getPropertyValue(color), width: 1.5, points: { show: hasGaps, size: 3, fill: style.getPropertyValue(color) }
    }))]
  }, data, element)
}

function shown (values: Array<number | null>, format: (value: number) => string): string {
  const last = values.at(-1) ?? null
  return last === null ? '–' : format(last)
}

function inWords (series: Series[], format: (value: number) => string): string {
  return series.map(({ label, values }) => {
    const most = Math.max(-1, ...values.map((value) => value ?? -1))
    return most < 0 ? `${label}: none` : `${label}: ${shown(values, format)} now, ${format(most)} at most`
  }).join('; ')
}
