import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import t from 'tap'
import { order, startExample, timelineOf, type Row } from './helpers/example'

// What the examples upload.
const FILE = require.resolve('typescript')
const CONTENT = readFileSync(FILE)
const SHA256 = createHash('sha256').update(CONTENT).digest('hex')

// An example loads TypeScript and compresses megabytes, on a machine that may have other things to do.
t.setTimeout(180_000)

const MAIL = ['request', 'reply', 'sendMail ┬', 'mailbox', 'sendMail ┴']
const LINE = ['writeLine ┬', 'writeLine ┴']
const WELCOME = '"Welcome" to '
const NOTICE = '"New account" to admin@example.com'

const WAYS: Array<{ title: string, path: string, order: string[], mails: string[] }> = [
  { title: 'Several tasks on the reply', path: '/register', order: [...MAIL, ...LINE], mails: [`${WELCOME}ada@example.com`] },
  { title: 'One task on the reply', path: '/reply/task', order: MAIL, mails: [`${WELCOME}grace@example.com`] },
  { title: 'A list on the reply', path: '/reply/list', order: [...MAIL, ...LINE], mails: [`${WELCOME}alan@example.com`] },
  { title: 'One task on the route', path: '/route/task', order: MAIL, mails: [NOTICE] },
  { title: 'A list on the route', path: '/route/list', order: [...MAIL, ...LINE], mails: [NOTICE] },
  {
    title: 'A function on the route',
    path: '/route/function',
    order: ['request', 'reply', 'welcome ┬', 'mailbox', 'welcome ┴'],
    mails: [`${WELCOME}tony@example.com`]
  },
  {
    title: 'A function on the route that returns the task',
    path: '/route/returns-task',
    order: MAIL,
    mails: [`${WELCOME}frances@example.com`]
  }
]

t.test('npm run example', async (t) => {
  const example = startExample(t, 'index.ts')
  const { stdout, ...ending } = await example.ended
  const parts = timelineOf(stdout)
  const rowsOf = (title: string): Row[] => parts.get(title) ?? []

  t.test('it succeeds, and leaves nothing behind', async (t) => {
    t.strictSame(ending, { code: 0, signal: null, stderr: '' }, 'ends well', { stdout })
    t.strictSame(example.leftovers(), [])
  })

  for (const way of WAYS) {
    t.test(`${way.title}: the reply comes first, then each task in its turn`, async (t) => {
      const rows = rowsOf(way.title)
      t.strictSame(order(rows), way.order)
      t.equal(rows[0]?.what, `POST ${way.path}`)
      t.match(rows[1]?.what, /^201 Created, after [\d.]+ ms$/)
      t.strictSame(mailsOf(rows), way.mails)
    })
  }

  t.test('A group on the reply: two tasks at once after the reply, the next one after both', async (t) => {
    const rows = rowsOf('A group on the reply, then one more task')
    t.strictSame(order(rows).slice(0, 4), ['request', 'reply', 'sendMail ┬', 'sendMail ┬'])
    t.strictSame(order(rows).slice(4, 8).sort(), ['mailbox', 'mailbox', 'sendMail ┴', 'sendMail ┴'])
    t.strictSame(order(rows).slice(8), LINE)
    t.strictSame(mailsOf(rows).sort(), [NOTICE, `${WELCOME}barbara@example.com`])
  })

  t.test('An upload: the reply comes first, and the hash is that of the file', async (t) => {
    const size = `${(CONTENT.length / 1e6).toFixed(1)} MB`
    const rows = rowsOf(`An upload of ${size}`)
    t.strictSame(order(rows).slice(0, 4), ['request', 'reply', 'compress ┬', 'hash ┬'])
    t.strictSame(order(rows).slice(4).sort(), ['compress ┴', 'hash ┴'])
    t.match(rows[1]?.what, /^202 Accepted/)
    t.ok(stdout.includes(`✓ sha256 ${SHA256}\n`), 'the true sha256', { stdout })
    t.match(stdout, `✓ ${basename(FILE)}: ${size}, compressed `)
  })

  t.test('A shutdown: the app has closed when the last task is done', async (t) => {
    const seen = order(rowsOf('A shutdown with a mail under way'))
    t.strictSame(seen.filter((row) => row !== 'app'), [...MAIL, ...LINE])
    t.equal(seen.at(-1), 'app')
    t.equal(seen.filter((row) => row === 'app').length, 2)
  })

  t.test('what is not for a terminal is plain, and 80 columns wide at most', async (t) => {
    t.notOk(stdout.includes('\u001B'), 'no escape sequences')
    t.strictSame(stdout.split('\n').filter((line) => line.length > 80 || line.endsWith(' ')), [])
  })
})

t.test('npm run example fails, and says what did not happen', async (t) => {
  const fullDisk = "data:text/javascript,import fs from 'node:fs/promises'; fs.appendFile = async () => { throw Error('disk full') }"
  const example = startExample(t, 'index.ts', '--import', fullDisk)
  const { code, stdout, stderr } = await example.ended

  t.equal(code, 1)
  t.equal(stderr.trim(), '✗ /register: expected 1 new line(s) in the log, got 0')
  const rows = timelineOf(stdout).get('Several tasks on the reply')
  t.strictSame(order(rows ?? []), [...MAIL, 'writeLine ┬', 'writeLine ×'])
  t.match(rows?.at(-1)?.what, /^failed after [\d.]+ ms: disk full$/)
  t.strictSame(example.leftovers(), [])
})

t.test('register.ts on its own: on SIGTERM it finishes its tasks and goes', async (t) => {
  const example = startExample(t, 'register.ts')
  const [, url] = await example.prints(/curl (http:\S+)/)
  const body = JSON.stringify({ email: 'ada@example.com' })
  const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
  example.terminate()
  const { stdout, ...ending } = await example.ended

  t.equal(response.status, 201)
  t.strictSame(ending, { code: 0, signal: null, stderr: '' }, 'ends well', { stdout })
  const [rows] = timelineOf(stdout).values()
  t.strictSame(order(rows), [...MAIL, ...LINE])
  t.strictSame(mailsOf(rows), [`${WELCOME}ada@example.com`])
  t.strictSame(example.leftovers(), [])
})

t.test('upload.ts on its own: on SIGTERM it finishes its tasks and goes', async (t) => {
  const example = startExample(t, 'upload.ts')
  const [, url] = await example.prints(/curl (http:\S+)/)
  const body = new FormData()
  body.append('file', new Blob([CONTENT]), basename(FILE))
  const response = await fetch(url, { method: 'POST', body })
  example.terminate()
  const { stdout, ...ending } = await example.ended

  t.equal(response.status, 202)
  t.strictSame(ending, { code: 0, signal: null, stderr: '' }, 'ends well', { stdout })
  const [rows] = timelineOf(stdout).values()
  t.strictSame(order(rows).slice(0, 4), ['request', 'reply', 'compress ┬', 'hash ┬'])
  t.strictSame(order(rows).slice(4).sort(), ['compress ┴', 'hash ┴'])
  // The row has no room for all of it.
  const [, shown] = /sha256=(\w+)…/.exec(rows.at(-1)!.what + rows.at(-2)!.what) ?? []
  t.ok(shown?.length > 20 && SHA256.startsWith(shown), `${shown} begins ${SHA256}`)
  t.strictSame(example.leftovers(), [])
})

t.test('an idle example goes on SIGTERM', async (t) => {
  for (const file of ['register.ts', 'upload.ts']) {
    const example = startExample(t, file)
    await example.prints(/curl http/)
    example.terminate()
    const { stdout, ...ending } = await example.ended
    t.strictSame(ending, { code: 0, signal: null, stderr: '' }, 'ends well', { stdout })
    t.strictSame(example.leftovers(), [])
  }
})

function mailsOf (rows: Row[]): string[] {
  return rows.filter(({ who }) => who === 'mailbox').map(({ what }) => what)
}
