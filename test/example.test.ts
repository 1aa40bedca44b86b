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
// A mail that is refused twice.
const RETRIES = [
  'send-email ┬', 'send-email ×', 'send-email', 'send-email ┬', 'send-email ×', 'send-email',
  'send-email ┬', 'mailbox', 'send-email ┴'
]
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
    t.strictSame(order(rows).slice(4).sort(), ['compress ┴', 'hash ┴', 'status'])
    t.equal(rows.find(({ who }) => who === 'status')?.what, `${'█'.repeat(30)} 100 %`)
    t.match(rows[1]?.what, /^202 Accepted/)
    t.ok(stdout.includes(`✓ sha256 ${SHA256}\n`), 'the true sha256', { stdout })
    t.match(stdout, `✓ ${basename(FILE)}: ${size}, compressed `)
  })

  t.test('In sum: all tasks are completed, but the two that were ended', async (t) => {
    t.match(stdout, '\n   25 tasks: 23 completed, 1 failed, 1 cancelled\n')
    t.match(stdout, '\n   ✓ 15 mails, 5 lines in the log\n')
  })

  t.test('A mail that is refused twice is tried again until it is out, and arrives once', async (t) => {
    const rows = rowsOf('A mail server that refuses the mail twice')
    t.strictSame(order(rows), ['request', 'reply', ...RETRIES])
    t.match(rows.map(({ what }) => what), [
      'POST /accounts',
      /^201 Created/,
      /^attempt 1, after \d+ ms in the queue$/,
      /^Message failed: 451 Greylisted, try again later$/,
      /^again in \d+ ms$/,
      /^attempt 2$/,
      /^Message failed: 451 Greylisted, try again later$/,
      /^again in \d+ ms$/,
      /^attempt 3$/
    ])
    t.strictSame(mailsOf(rows), [`${WELCOME}katherine@example.com`])
  })

  t.test('A call that hangs is ended by its time-out, and its connection with it', async (t) => {
    const rows = rowsOf('A call that hangs, with a time-out')
    t.strictSame(order(rows), ['request', 'reply', 'webhook ┬', 'partner', 'webhook ×', 'partner'])
    t.strictSame(rows.slice(3).map(({ what }) => what), [
      'POST /orders: no answer',
      'Background task "webhook" timed out after 250 ms',
      'POST /orders: the caller has hung up'
    ])
  })

  t.test('An import that hangs is ended by DELETE, and its connection with it', async (t) => {
    const rows = rowsOf('An import that hangs, and is cancelled')
    t.strictSame(order(rows).slice(0, 8),
      ['request', 'reply', 'import ┬', 'import', 'import', 'partner', 'request', 'import ×'])
    t.match(rows.slice(3, 8).map(({ what }) => what), [
      /^├ +25 % {2}page 1 of 4$/,
      /^├ +50 % {2}page 2 of 4$/,
      'GET /catalog/3: no answer',
      /^DELETE \/tasks\/[-0-9a-f]{36}$/,
      'cancelled by its client'
    ])
    // The reply and the end of the connection go different ways.
    t.match(rows.slice(8).map(({ who, what }) => `${who} ${what}`).sort(),
      ['partner GET /catalog/3: the caller has hung up', /^reply 204 No Content/])
  })

  t.test('Four at once: two at work, one waits, one is refused and comes again', async (t) => {
    const rows = rowsOf('Four at once, with room for three')
    const whatOf = (name: string): string[] => rows.filter(({ who }) => who === name).map(({ what }) => what)
    t.strictSame(whatOf('request'), new Array(5).fill('POST /accounts'))
    t.strictSame(whatOf('reply').map((what) => what.slice(0, 3)).sort(), ['201', '201', '201', '201', '503'])
    t.strictSame(whatOf('log'), ['Background task "send-email" refused: maxPending is 3'])

    const [, refused] = /^(\S+) is to try again after 10 s$/.exec(whatOf('client').join()) ?? []
    const mails = mailsOf(rows)
    t.strictSame([...mails].sort(), ['annie', 'hedy', 'radia', 'sophie'].map((name) => `${WELCOME}${name}@example.com`))
    t.equal(mails.at(-1), `${WELCOME}${refused}`, 'who was refused comes last')

    let active = 0
    const atWork = rows.filter(({ who }) => who === 'send-email').map(({ mark }) => mark === '┬' ? ++active : --active)
    t.equal(atWork.length, 8, 'four start and end')
    t.equal(Math.max(...atWork), 2)
    t.strictSame(order(rows).slice(-5), ['request', 'reply', 'send-email ┬', 'mailbox', 'send-email ┴'])
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

t.test('policies.ts on its own: on SIGTERM it finishes its tasks, those that are tried again too, and goes', async (t) => {
  const example = startExample(t, 'policies.ts')
  const [, url] = await example.prints(/curl (http:\S+)\/accounts/)
  const body = JSON.stringify({ email: 'ada@example.com' })
  const response = await fetch(`${url}/accounts`, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
  example.terminate()
  const { stdout, ...ending } = await example.ended

  t.equal(response.status, 201)
  t.strictSame(ending, { code: 0, signal: null, stderr: '' }, 'ends well', { stdout })
  const [rows] = timelineOf(stdout).values()
  t.strictSame(order(rows), ['request', 'reply', ...RETRIES])
  t.strictSame(mailsOf(rows), [`${WELCOME}ada@example.com`])
})

t.test('policies.ts on its own: a task is cancelled by its id, and then there is none of that id', async (t) => {
  const example = startExample(t, 'policies.ts')
  const [, url] = await example.prints(/curl (http:\S+)\/accounts/)
  const response = await fetch(`${url}/imports`, { method: 'POST' })
  const { taskId } = await response.json() as { taskId: string }
  await example.prints(/GET \/catalog\/3: no answer/)
  const task = `${url}/tasks/${taskId}`
  t.equal((await fetch(task, { method: 'DELETE' })).status, 204)
  t.equal((await fetch(task, { method: 'DELETE' })).status, 404)
  example.terminate()
  const { stdout, ...ending } = await example.ended

  t.strictSame(ending, { code: 0, signal: null, stderr: '' }, 'ends well', { stdout })
  t.match(stdout, /import +× +cancelled by its client\n/)
})

t.test('an idle example goes on SIGTERM', async (t) => {
  for (const file of ['register.ts', 'upload.ts', 'status.ts', 'policies.ts']) {
    const example = startExample(t, file)
    await example.prints(/(curl|open) http/)
    example.terminate()
    const { stdout, ...ending } = await example.ended
    t.strictSame(ending, { code: 0, signal: null, stderr: '' }, 'ends well', { stdout })
    t.strictSame(example.leftovers(), [])
  }
})

function mailsOf (rows: Row[]): string[] {
  return rows.filter(({ who }) => who === 'mailbox').map(({ what }) => what)
}
