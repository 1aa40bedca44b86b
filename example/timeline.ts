// Draws what the servers of an example log as a timeline: when a request came, when its reply left, which task ran when.
import { STATUS_CODES } from 'node:http'
import { styleText } from 'node:util'
import type { FastifyServerOptions } from 'fastify'

type Style = Parameters<typeof styleText>[0]

// A task starts, is at work, has ended well or badly; or it waits, and has no lane.
const STYLES = { '┬': 'green', '├': 'green', '┴': 'green', '×': 'red', '': 'yellow' } satisfies Record<string, Style>
type Mark = keyof typeof STYLES

const WIDTH = 80
const BAR_WIDTH = 30
const CLEAR_LINE = '\r\x1b[K'
const TIME_WIDTH = 9
const WHO_WIDTH = 11
// Tasks that run side by side have a lane each: room for two is kept.
const LANES = 2
// Levels of pino.
const WARNING = 40
const ERROR = 50

const colours = process.stdout.isTTY && !process.env.NO_COLOR

export interface Timeline {
  /** For Fastify's `logger` option. */
  logger: FastifyServerOptions['logger']
  /** The same, without what is logged of tasks: for where their events are drawn. */
  requestLogger: FastifyServerOptions['logger']
  title: (title: string, detail: string) => void
  row: (who: string, what: string) => void
  /** How far something has come, from 0 to 1: drawn anew in its line where there is a terminal, and else a row when it is over. */
  bar: (who: string, value: number, isOver?: boolean) => void
  task: (run: Run, mark: Mark, what: string) => void
}

interface Run { id: string, name: string }

/** A line of Fastify's log. Those that a task writes to `this.log` have `task` and `taskId`. */
interface Line {
  level: number
  msg: string
  task?: string
  taskId?: string
  req?: { method: string, url: string }
  res?: { statusCode: number }
  responseTime?: number
  err?: { message: string }
  [field: string]: unknown
}

export function createTimeline (): Timeline {
  const lanes: Array<{ id: string, since: number } | undefined> = new Array(LANES).fill(undefined)
  let start: number | undefined
  // The bar, which stays the last line.
  let live = ''

  return {
    logger: loggerOf(drawLine),
    requestLogger: loggerOf((line) => { if (line.taskId === undefined) drawLine(line) }),
    title: (title, detail) => print(`\n${rule(title)}\n   ${paint('dim', detail)}\n`),
    row: (who, what) => draw(who, what, 'magenta'),
    bar (who, value, isOver = false) {
      const what = `${'█'.repeat(Math.round(value * BAR_WIDTH)).padEnd(BAR_WIDTH, '░')} ${Math.round(value * 100)} %`
      if (isOver) {
        live = ''
        draw(who, what, 'magenta')
      } else if (process.stdout.isTTY) {
        live = rowOf(who, what, 'magenta')
        process.stdout.write(CLEAR_LINE + live)
      }
    },
    task: drawTask
  }

  function drawLine (line: Line): void {
    const { level, msg, req, res, err, taskId, responseTime = 0 } = line
    if (taskId !== undefined) drawTaskLine(taskId, line)
    else if (err || level >= WARNING) draw('log', err?.message ?? msg, 'red')
    else if (res) draw('reply', `${res.statusCode} ${STATUS_CODES[res.statusCode]}, after ${ms(responseTime)}`, 'cyan')
    else if (req) draw('request', `${req.method} ${req.url}`, 'cyan')
  }

  function drawTaskLine (id: string, line: Line): void {
    const { task: name = '', level, msg, err } = line
    const since = lanes.find((used) => used?.id === id)?.since
    if (since === undefined && msg === 'started') {
      drawTask({ id, name }, '┬', fieldsOf(line))
    } else if (since !== undefined && (msg === 'done' || level >= ERROR)) {
      const time = ms(performance.now() - since)
      if (level >= ERROR) drawTask({ id, name }, '×', `failed after ${time}: ${err?.message ?? msg}`)
      else drawTask({ id, name }, '┴', `done in ${time}  ${fieldsOf(line)}`)
    } else {
      drawTask({ id, name }, '├', err?.message ?? msg, level >= WARNING ? 'red' : 'green')
    }
  }

  function drawTask ({ id, name }: Run, mark: Mark, what: string, style: Style = STYLES[mark]): void {
    if (mark === '┬') {
      const free = lanes.includes(undefined) ? lanes.indexOf(undefined) : lanes.length
      lanes[free] = { id, since: performance.now() }
    }
    const lane = lanes.findIndex((used) => used?.id === id)
    draw(name, what, style, lane, mark)
    if (lane !== -1 && (mark === '┴' || mark === '×')) lanes[lane] = undefined
  }

  function draw (who: string, what: string, style: Style, lane = -1, mark = ''): void {
    print(rowOf(who, what, style, lane, mark))
  }

  function rowOf (who: string, what: string, style: Style, lane = -1, mark = ''): string {
    const now = performance.now()
    start ??= now
    const time = `+${(now - start).toFixed(0)} ms`.padStart(TIME_WIDTH)
    const rail = lanes.map((used, i) => i === lane ? paint(style, mark) : used ? paint('green', '│') : ' ').join(' ')
    const room = WIDTH - TIME_WIDTH - WHO_WIDTH - lanes.length * 2 - 3
    return `${paint('dim', time)}  ${paint(style, who.padEnd(WHO_WIDTH))}${rail}  ${cut(what, room)}`
  }

  function print (text: string): void {
    // Without the padding of columns that turned out to be empty.
    const line = `${text.replace(/ +$/, '')}\n`
    process.stdout.write(process.stdout.isTTY ? `${CLEAR_LINE}${line}${live}` : line)
  }
}

function loggerOf (draw: (line: Line) => void): FastifyServerOptions['logger'] {
  return { level: 'info', stream: { write: (json: string) => draw(JSON.parse(json)) } }
}

/** What a line says beside its message. */
function fieldsOf (line: Line): string {
  const { level, time, pid, hostname, reqId, task, taskId, msg, ...fields } = line
  return Object.entries(fields).map(([name, value]) => `${name}=${quote(String(value))}`).join(' ')
}

function quote (value: string): string {
  return value.includes(' ') ? `"${value}"` : value
}

function rule (title: string): string {
  return `── ${paint('bold', title)} ${paint('dim', '─'.repeat(WIDTH - title.length - 4))}`
}

function ms (duration: number): string {
  return `${duration.toFixed(duration < 10 ? 1 : 0)} ms`
}

function cut (text: string, width: number): string {
  return text.length > width ? `${text.slice(0, width - 1)}…` : text
}

export function paint (style: Style, text: string): string {
  return colours ? styleText(style, text) : text
}
