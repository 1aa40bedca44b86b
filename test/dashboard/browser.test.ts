// The page in a real browser.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import type { Page, Request } from 'playwright-core'
import t, { type Test } from 'tap'
import { defineTask } from '../../lib/definition'
import { journal } from '../../lib/engines/journal'
import { listen } from '../helpers/app'
import { needsBrowser, openPage, type Opened as OpenedPage } from '../helpers/browser'
import { createDashboard, openFeed, type Settings } from '../helpers/dashboard'
import { ROOT } from '../helpers/docs'
import { durable } from '../helpers/durable'
import { latch, type Latch } from '../helpers/latch'
import { MemoryEngine } from '../helpers/memory-engine'

// A browser takes its time, on a machine that may have other things to do.
t.setTimeout(300_000)

const test = needsBrowser()
const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8')
const XSS = '<img src=x onerror="document.title=\'taken\'"><script>document.title="taken"</script>'

interface Opened extends OpenedPage {
  app: FastifyInstance
  url: string
  /** What keeps the tasks at work until it is opened. */
  goOn: Latch
}

async function open (t: Test, settings: Settings = {}, options = {}): Promise<Opened> {
  const app = await createDashboard(t, { ...settings, background: { closeTimeout: 0, ...settings.background } })
  const { url } = await listen(app)
  const opened = await openPage(t, `${url}/background`, options)
  await opened.page.getByText('live', { exact: true }).waitFor()
  return { app, url, goOn: latch(), ...opened }
}

/** The row of a run, by its name. */
function row (page: Page, name: string) {
  return page.locator('li.run').filter({ has: page.locator('button.name').filter({ hasText: name }) })
}

function section (page: Page, title: string) {
  return page.getByRole('region', { name: title })
}

async function fill ({ app, goOn }: Pick<Opened, 'app' | 'goOn'>, names = ['import-orders', 'resize']): Promise<void> {
  for (const [i, name] of names.entries()) {
    const started = latch()
    app.background.addTask(defineTask(async function () {
      this.progress({ value: 0.25 + i / 4, message: `part ${i + 1} of 4` })
      started.open()
      await goOn
    }, { name }))
    await started
  }
}

async function violations (page: Page): Promise<string[]> {
  // Beside the page's own policy, which would not let it in.
  await page.evaluate(AXE)
  const { violations } = await page.evaluate<{ violations: Array<{ id: string, nodes: Array<{ html: string }> }> }>('axe.run()')
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`)
}

test('a task at work is seen with its progress, and a failure appears with its error and stack', async (t) => {
  const opened = await open(t)
  const { app, page, complaints } = opened
  await fill(opened, ['import-orders'])
  const running = section(page, 'Running')
  await running.getByText('import-orders').waitFor()
  t.equal(await running.getByRole('progressbar').getAttribute('value'), '0.25')
  await running.getByText('25 %, part 1 of 4').waitFor()
  await running.getByText(/^for \d/).waitFor()

  app.background.addTask(defineTask(() => { throw new Error('the mail server is away') }, { name: 'send-email' }))
  const failed = section(page, 'Recent failures')
  await failed.getByText('Error: the mail server is away').waitFor()
  await failed.getByRole('button', { name: /send-email/ }).click()
  await failed.getByRole('region', { name: 'Error' }).getByText('at Attempt').waitFor()
  t.match(await failed.locator('.details').innerText(), /attempts\s+1/)
  t.equal(await page.locator('.tile.is-failed dd').innerText(), '1')
  t.strictSame(complaints, [])
})

test('cancel asks first, then ends the run and says so', async (t) => {
  const opened = await open(t)
  const { app, page, complaints } = opened
  await fill(opened, ['import-orders'])
  const cancel = page.getByRole('button', { name: /^Cancel import-orders/ })
  await cancel.click()
  const dialog = page.getByRole('dialog', { name: 'Cancel this run?' })
  await dialog.getByRole('button', { name: 'Let it go on' }).click()
  await dialog.waitFor({ state: 'hidden' })
  t.equal(app.background.stats().active, 1)

  await cancel.click()
  await dialog.getByRole('button', { name: 'Cancel the run' }).click()
  await page.getByRole('status').getByText(/^Cancelled: import-orders/).waitFor()
  t.equal(app.background.stats().cancelled, 1)
  await section(page, 'Running').getByText('Nothing is at work.').waitFor()
  t.strictSame(complaints, [])
})

test('what cannot be done is said, and the focus is not lost with the row', async (t) => {
  const opened = await open(t)
  const { app, page } = opened
  await fill(opened, ['import-orders'])
  await page.getByRole('button', { name: /^Cancel import-orders/ }).click()
  opened.goOn.open()
  await app.background.idle()
  await section(page, 'Running').getByText('Nothing is at work.').waitFor()
  await page.getByRole('button', { name: 'Cancel the run' }).click()
  await page.getByRole('status').getByText('Not possible: there is no such run, or it is over').waitFor()
  await page.locator('h2:focus').filter({ hasText: 'Running' }).waitFor()
  t.pass('it is near')
})

test('retry starts a durable run again that has failed; others have no such button', async (t) => {
  let fails = true
  const sent: string[] = []
  const send = durable('send-email', async (to: string) => {
    if (fails) throw new Error('refused')
    sent.push(to)
  })
  const { app, page, complaints } = await open(t, { background: { engine: new MemoryEngine({ local: true }), tasks: [send] } })
  app.background.addTask(send, 'ada@example.com')
  app.background.addTask(defineTask(() => { throw new Error('once') }, { name: 'in-process' }))
  const failed = section(page, 'Recent failures')
  await failed.getByText('in-process').waitFor()
  t.equal(await row(page, 'in-process').getByRole('button', { name: 'Retry' }).count(), 0)
  fails = false
  await failed.getByRole('button', { name: /^Retry send-email/ }).click()
  await page.getByRole('dialog', { name: 'Start this run again?' }).getByRole('button', { name: 'Start it again' }).click()
  await page.getByRole('status').getByText(/^Started again: send-email/).waitFor()
  await failed.getByText('send-email').waitFor({ state: 'detached' })
  t.strictSame(sent, ['ada@example.com'])
  t.strictSame(complaints, [])
})

test('a thousand rows are shown to who asks, and the page stays quick', async (t) => {
  const { app, page, complaints, goOn } = await open(t, { background: { concurrency: 1 } })
  app.background.addTask(async () => { await goOn })
  for (let i = 0; i < 1_000; i++) app.background.addTask(defineTask(() => {}, { name: `waits-${i}` }))
  const queued = section(page, 'Queued')
  await queued.getByText('This is a sample: 50 of more.').waitFor()
  t.equal(await queued.locator('li.run').count(), 50)
  await queued.getByRole('button', { name: 'Show up to 1,000' }).click()
  await queued.getByText('waits-999').waitFor()
  t.equal(await queued.locator('li.run').count(), 1_000)
  await row(page, 'waits-998').locator('button.name').click()
  await queued.locator('.details').waitFor()
  t.strictSame(complaints, [])
  goOn.open()
})

test('while the engine is away, its rows stay, and the page says so', async (t) => {
  const engine = new MemoryEngine({ local: true })
  const send = durable('send-email', async () => { throw new Error('refused') })
  const { app, page } = await open(t, { background: { engine, tasks: [send], concurrency: 1 } })
  for (let i = 0; i < 51; i++) app.background.addTask(send)
  const failed = section(page, 'Recent failures')
  await failed.getByRole('button', { name: 'Show up to 1,000' }).click()
  await failed.locator('li.run').nth(50).waitFor()
  const { list, find } = engine
  engine.list = engine.find = async () => { throw new Error('connection refused') }
  await failed.locator('button.name').first().click()
  await failed.locator('.details').getByText('the engine does not answer').waitFor()
  await failed.locator(':scope > .trouble').getByText('the engine does not answer').waitFor()
  await page.getByText('What is shown of the engine may be old: connection refused').waitFor()
  t.equal(await failed.locator('li.run').count(), 51)
  Object.assign(engine, { list, find })
  await failed.locator(':scope > .trouble').waitFor({ state: 'detached' })
  t.equal(await failed.locator('li.run').count(), 51)
})

test('a search finds by name and by id, and nothing else is shown', async (t) => {
  const opened = await open(t)
  const { app, page } = opened
  await fill(opened)
  const done = await app.background.addTask(defineTask(() => {}, { name: 'send-email' })).finished()
  await page.getByRole('searchbox').fill('EMAIL')
  const found = section(page, 'Found: EMAIL')
  await found.getByText('send-email').waitFor()
  t.equal(await page.locator('li.run').count(), 1)
  t.match(await found.innerText(), /completed/)
  await page.getByRole('searchbox').fill(done.id.slice(0, 8))
  await section(page, `Found: ${done.id.slice(0, 8)}`).getByText('send-email').waitFor()
  await page.getByRole('searchbox').fill('nothing of the kind')
  await page.getByText('Nothing among the runs that are unfinished or kept.').waitFor()
  await page.getByRole('searchbox').fill('')
  await section(page, 'Running').getByText('import-orders').waitFor()
})

test('names, errors, arguments and progress messages are text, whatever is in them', async (t) => {
  const { app, page, complaints } = await open(t, { dashboard: { allowAnonymous: true, showArguments: true } })
  app.background.addTask(defineTask(async function (_text: string) {
    this.progress({ value: 0.5, message: XSS })
    await latch()
  }, { name: XSS }), XSS)
  app.background.addTask(defineTask(() => { throw Object.assign(new Error(XSS), { stack: XSS, name: XSS }) }, { name: `failed ${XSS}` }))
  await section(page, 'Recent failures').locator('li.run').waitFor()
  for (const name of await page.locator('button.name').all()) await name.click()
  await page.locator('.details pre').nth(1).waitFor()
  await page.getByRole('button', { name: /^Cancel/ }).first().click()
  await page.getByRole('dialog').getByText(XSS).waitFor()
  await page.getByRole('button', { name: 'Cancel the run' }).click()
  await page.getByRole('status').getByText(XSS).waitFor()
  await page.getByRole('searchbox').fill(XSS)
  await page.getByRole('heading', { name: `Found: ${XSS}` }).waitFor()
  t.equal(await page.title(), 'Background tasks')
  t.equal(await page.locator('img, #app script').count(), 0)
  t.strictSame(complaints, [])
})

test('a script that got into the page would not run', async (t) => {
  const { page, complaints } = await open(t)
  await page.evaluate(`
    const script = document.createElement('script')
    script.textContent = 'document.title = "taken"'
    document.body.append(script)
    fetch('https://evil.example/').catch(() => {})
  `)
  t.equal(await page.title(), 'Background tasks')
  t.equal(complaints.filter((text) => text.includes('Content Security Policy')).length >= 2, true)
})

test('a page of another origin can change nothing, neither by a form nor by a script', async (t) => {
  const opened = await open(t)
  const { app, page, url } = opened
  await fill(opened, ['import-orders'])
  await page.getByRole('button', { name: /import-orders/ }).first().click()
  const id = await page.locator('.details code').innerText()
  const target = `${url}/background/runs/${id}/cancel`
  const evil = await createDashboard(t, {
    before: (other) => other.get('/', async (_request, reply) => await reply.type('text/html').send(
      `<form method=post enctype=text/plain action="${target}"><input name='{"a":"' value='"}'><button>win</button></form>`))
  })
  const { url: evilUrl } = await listen(evil)
  const { page: attacker } = await openPage(t, evilUrl.replace('127.0.0.1', 'localhost'))
  const outcome = await attacker.evaluate(`Promise.all([
    { mode: 'no-cors' }, { headers: { 'content-type': 'application/json', 'x-background-dashboard': '1' } }
  ].map((init) => fetch('${target}', { method: 'POST', body: '{}', ...init }).then(() => 'answered', () => 'refused')))`)
  t.strictSame(outcome, ['refused', 'refused'])
  const [answer] = await Promise.all([attacker.waitForResponse(target), attacker.getByRole('button').click()])
  t.equal(answer.status(), 403)
  t.strictSame([app.background.stats().active, app.background.stats().cancelled], [1, 0])
})

test('with the keyboard alone: search, open a row, cancel, and the focus is never lost', async (t) => {
  const opened = await open(t)
  const { app, page } = opened
  await fill(opened)
  await section(page, 'Running').getByText('resize').waitFor()
  const focused = async (): Promise<string> =>
    await page.evaluate('document.activeElement.getAttribute("aria-label") ?? document.activeElement.textContent')
  async function tabTo (name: RegExp): Promise<void> {
    for (let i = 0; i < 40; i++) {
      await page.keyboard.press('Tab')
      if (name.test(await focused())) return
    }
    throw new Error(`nothing is called ${String(name)}`)
  }
  await page.keyboard.press('Tab')
  t.equal(await focused(), 'To the runs')
  await page.keyboard.press('Enter')
  t.match(await page.evaluate('location.hash'), '#search')
  await tabTo(/^import-orders/)
  await page.keyboard.press('Enter')
  await page.locator('.details').waitFor()
  await tabTo(/^Cancel import-orders/)
  await page.keyboard.press('Space')
  await page.getByRole('dialog').waitFor()
  t.equal(await focused(), 'Let it go on', 'the harmless answer comes first')
  await page.keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'hidden' })
  t.match(await focused(), /^Cancel import-orders/, 'back to where it was')
  t.equal(app.background.stats().cancelled, 0)
  await page.keyboard.press('Space')
  await tabTo(/^Cancel the run/)
  await page.keyboard.press('Enter')
  await page.getByRole('status').getByText(/^Cancelled: import-orders/).waitFor()
  await row(page, 'import-orders').waitFor({ state: 'detached' })
  // The browser gives the focus back to the row at first, and the row goes with the next frame.
  await page.locator('h2:focus').filter({ hasText: 'Running' }).waitFor()
  t.pass('near the row that has gone')
})

test('pause stops the page, and goes on where it is', async (t) => {
  const opened = await open(t)
  const { app, page } = opened
  await page.getByRole('button', { name: 'Pause' }).click()
  await page.getByText('paused', { exact: true }).waitFor()
  app.background.addTask(defineTask(() => { throw new Error('unseen') }, { name: 'send-email' }))
  // All pages get the same frames: by the second of these it would be there.
  const another = await openFeed(t, app)
  for (let i = 0; i < 2; i++) await another.until(({ lists }) => lists.failed.runs.length === 1)
  t.equal(await section(page, 'Recent failures').getByText('unseen').count(), 0)
  await page.getByRole('button', { name: 'Pause' }).click()
  await section(page, 'Recent failures').getByText('Error: unseen').waitFor()
})

test('a page that nobody sees leaves its connection to others, and goes on when it is seen', async (t) => {
  const { app, page } = await open(t)
  const isFeed = (request: Request): boolean => request.url().endsWith('/feed')
  const show = async (isHidden: boolean): Promise<void> => {
    await page.evaluate(`{
      Object.defineProperty(document, 'hidden', { value: ${String(isHidden)}, configurable: true })
      document.dispatchEvent(new Event('visibilitychange'))
    }`)
  }
  const left = page.waitForEvent('requestfailed', isFeed)
  await show(true)
  await left
  app.background.addTask(defineTask(() => { throw new Error('unseen') }, { name: 'send-email' }))
  const another = await openFeed(t, app)
  for (let i = 0; i < 2; i++) await another.until(({ lists }) => lists.failed.runs.length === 1)
  t.equal(await section(page, 'Recent failures').getByText('unseen').count(), 0)
  await show(false)
  await section(page, 'Recent failures').getByText('Error: unseen').waitFor()
  t.equal(await page.getByText('live', { exact: true }).count(), 1)
})

test('in a pause, a list that is asked for is as old as it is', async (t) => {
  const { app, page } = await open(t)
  for (let i = 0; i < 51; i++) await app.background.addTask(defineTask(() => { throw new Error('no') }, { name: `failed-${i}` })).finished()
  const failed = section(page, 'Recent failures')
  const more = failed.getByRole('button', { name: 'Show up to 1,000' })
  await more.waitFor()
  await page.getByRole('button', { name: 'Pause' }).click()
  const { now } = Date
  t.teardown(() => { Date.now = now })
  Date.now = () => now() + 120_000
  await app.background.addTask(defineTask(() => { throw new Error('no') }, { name: 'failed-late' })).finished()
  await more.click()
  await failed.getByText('failed-late').waitFor()
  t.match(await row(page, 'failed-50').locator('.age').innerText(), /^2 min/)
})

test('the time axis of a chart has labels to read it by', async (t) => {
  const { page } = await open(t)
  await page.evaluate(`new Promise((resolve) => {
    const hours = new Set()
    const { fillText } = CanvasRenderingContext2D.prototype
    CanvasRenderingContext2D.prototype.fillText = function (text, ...others) {
      if (text.includes(':') && hours.add(text).size >= 2) resolve()
      return fillText.call(this, text, ...others)
    }
  })`)
  t.pass('two or more')
})

test('when the server has gone the page says so', async (t) => {
  const { app, page } = await open(t)
  await app.close()
  await page.getByText('not connected', { exact: true }).waitFor()
  t.pass('it does')
})

for (const colorScheme of ['light', 'dark'] as const) {
  test(`in the ${colorScheme} theme there is nothing that axe complains of, with rows open and with the dialog`, async (t) => {
    const send = durable('send-email', async () => { throw new Error('refused') })
    const opened = await open(t, {
      background: { engine: new MemoryEngine({ local: true }), tasks: [send] }, dashboard: { allowAnonymous: true, showArguments: true }
    }, { colorScheme })
    const { app, page, complaints } = opened
    await fill(opened)
    app.background.addTask(send)
    await section(page, 'Recent failures').getByRole('button', { name: /^Retry/ }).waitFor()
    await page.getByRole('button', { name: /^send-email/ }).click()
    await page.locator('.details pre').first().waitFor()
    t.equal(await page.evaluate('getComputedStyle(document.body).backgroundColor'), colorScheme === 'dark' ? 'rgb(20, 23, 27)' : 'rgb(245, 246, 248)')
    t.strictSame(await violations(page), [])
    await page.getByRole('button', { name: /^Retry/ }).click()
    await page.getByRole('dialog').waitFor()
    t.strictSame(await violations(page), [])
    t.strictSame(complaints, [])
  })
}

test('at a width of 375 pixels everything is there, and nothing sticks out', async (t) => {
  const opened = await open(t, {}, { viewport: { width: 375, height: 700 } })
  const { app, page } = opened
  await fill(opened, ['a-task-with-a-long-name-of-the-kind-that-teams-like-to-give-to-tasks', 'resize'])
  app.background.addTask(defineTask(() => { throw new Error(`cannot open /${'very-long-path/'.repeat(20)}`) }, { name: 'send-email' }))
  await section(page, 'Recent failures').getByText('cannot open').waitFor()
  await section(page, 'Recent failures').getByRole('button', { name: /send-email/ }).click()
  await page.locator('.details pre').waitFor()
  t.equal(await page.evaluate('document.documentElement.scrollWidth'), 375)
  for (const button of await page.getByRole('button', { name: /^Cancel/ }).all()) {
    const { height, x, width } = (await button.boundingBox())!
    t.ok(height >= 44 && x >= 0 && x + width <= 375, 'a finger finds it')
  }
  t.strictSame(await violations(page), [])
})

test('the picture in the documents is of this page', async (t) => {
  const picture = process.env.PICTURE
  let fails = 3
  const send = durable('send-email', async () => { if (fails-- > 0) throw new Error('connect ECONNREFUSED 10.0.0.7:25') })
  const opened = await open(t, { background: { engine: journal({ location: t.testdir() }), tasks: [send], concurrency: 6 } }, { viewport: { width: 1100, height: 1300 }, colorScheme: 'light' })
  const { app, page, complaints } = opened
  await fill(opened, ['import-orders', 'resize', 'build-report'])
  for (let i = 0; i < 3; i++) app.background.addTask(send)
  for (let second = 0; second < (picture === undefined ? 1 : 20); second++) {
    for (let i = 0; i < 20; i++) app.background.addTask(defineTask(async () => { await new Promise((resolve) => setImmediate(resolve)) }, { name: 'write-audit-line' }))
    await page.waitForResponse(() => true, { timeout: 1_000 }).catch(() => {})
  }
  for (let i = 0; i < 5; i++) app.background.addTask(defineTask(async () => { await opened.goOn }, { name: 'notify-partner' }))
  await section(page, 'Queued').getByText('notify-partner').first().waitFor()
  await section(page, 'Recent failures').getByText('ECONNREFUSED').first().waitFor()
  const image = await page.screenshot(picture === undefined ? {} : { path: join(ROOT, 'docs', 'dashboard.png') })
  t.ok(image.length > 10_000)
  t.strictSame(complaints, [])
})
