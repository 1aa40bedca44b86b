// Draws what the servers of an example log as a timeline: when a request came, when its reply left, which task ran when.
import { STATUS_CODES } from 'node:http'
import { styleText } from 'node:util'
import type { FastifyServerOptions } from 'fastify'

type Style = Parameters<typeof styleText>[0]

const WIDTH = 80
const TIME_WIDTH = 10
const WHO_WIDTH = 10
// Tasks that run side by side have a lane each: room for two is kept.
const LANES = 2
// Levels of pino.
const WARNING = 40
const ERROR = 50

const colours = process.stdout.isTTY && !process.env.NO_COLOR

export interface Timeline {
  /** For Fastify's `logger` option. */
  logger: FastifyServerOptions['logger']
  title: (title: string, detail: string) => void
  row: (who: string, what: string) => void
}

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
  const lanes: Array<{ taskId: string, since: number } | undefined> = new Array(LANES).fill(undefined)
  let start: number | undefined

  return {
    logger: { level: 'info', stream: { write: (json: string) => drawLine(JSON.parse(json)) } },
    title: (title, detail) => print(`\n${rule(title)}\n   ${paint('dim', detail)}\n`),
    row: (who, what) => draw(who, what, 'magenta')
  }

  function drawLine (line: Line): void {
    const { level, msg, req, res, err, taskId, responseTime = 0 } = line
    if (taskId !== undefined) drawTask(taskId, line)
    else if (res) draw('reply', `${res.statusCode} ${STATUS_CODES[res.statusCode]}, after ${ms(responseTime)}`, 'cyan')
    else if (req) draw('request', `${req.method} ${req.url}`, 'cyan')
    else if (level >= WARNING) draw('log', err?.message ?? msg, 'red')
  }

  function drawTask (taskId: string, line: Line): void {
    const { task = '', level, msg, err } = line
    const lane = lanes.findIndex((used) => used?.taskId === taskId)
    if (lane === -1 && msg === 'started') {
      const free = lanes.includes(undefined) ? lanes.indexOf(undefined) : lanes.length
      lanes[free] = { taskId, since: performance.now() }
      draw(task, fieldsOf(line), 'green', free, '┬')
    } else if (lane !== -1 && (msg === 'done' || level >= ERROR)) {
      const time = ms(performance.now() - lanes[lane]!.since)
      if (level >= ERROR) draw(task, `failed after ${time}: ${err?.message ?? msg}`, 'red', lane, '×')
      else draw(task, `done in ${time}  ${fieldsOf(line)}`, 'green', lane, '┴')
      lanes[lane] = undefined
    } else {
      draw(task, err?.message ?? msg, level >= WARNING ? 'red' : 'green', lane, '├')
    }
  }

  function draw (who: string, what: string, style: Style, lane = -1, mark = ''): void {
    const now = performance.now()
    start ??= now
    const time = `+${(now - start).toFixed(0)} ms`.padStart(TIME_WIDTH)
    const rail = lanes.map((used, i) => i === lane ? paint(style, mark) : used ? paint('green', '│') : ' ').join(' ')
    const room = WIDTH - TIME_WIDTH - WHO_WIDTH - lanes.length * 2 - 3
    print(`${paint('dim', time)}  ${paint(style, who.padEnd(WHO_WIDTH))}${rail}  ${cut(what, room)}`)
  }
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

function print (text: string): void {
  // Without the padding of columns that turned out to be empty.
  console.log(text.replace(/ +$/, ''))
}
