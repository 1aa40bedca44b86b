import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import t from 'tap'
import { needsBrowser, openPage } from '../helpers/browser'
import { startExample } from '../helpers/example'

const FILE = require.resolve('typescript')

// A browser takes its time to start, on a machine that may have other things to do.
t.setTimeout(180_000)

const test = needsBrowser()

test('status.ts: the page uploads a file, shows how far it has come, and links to the result', async (t) => {
  const example = startExample(t, 'status.ts')
  const [, url] = await example.prints(/open (http:\S+)/)
  const { page, complaints } = await openPage(t, url)
  const values: number[] = []
  await page.exposeFunction('note', (value: number) => { values.push(value) })
  await page.evaluate(`{
    const bar = document.getElementById('bar')
    new MutationObserver(() => note(bar.value)).observe(bar, { attributes: true })
  }`)
  await page.setInputFiles('#file', FILE)
  await page.click('button')
  await page.waitForSelector('#result:not([hidden])')

  t.equal(await page.textContent('#state'), 'completed, 100 %')
  t.equal(await page.textContent('#name'), 'typescript.js')
  t.ok(values.some((value) => value > 0 && value < 1), `it was under way: ${values.join(', ')}`)
  t.equal(values.at(-1), 1)
  t.notOk(await page.isVisible('#cancel'))
  const link = await page.getAttribute('#result', 'href')
  const gzipped = Buffer.from(await (await fetch(new URL(link!, url))).arrayBuffer())
  t.equal(hash(gunzipSync(gzipped)), hash(readFileSync(FILE)))
  t.strictSame(complaints, [])
})

test('status.ts: the button of the page cancels the task', async (t) => {
  const example = startExample(t, 'status.ts')
  const [, url] = await example.prints(/open (http:\S+)/)
  const { page, complaints } = await openPage(t, url)
  // Large enough not to be over before it is cancelled.
  await page.setInputFiles('#file', { name: 'large.js', mimeType: 'text/plain', buffer: Buffer.concat(new Array(4).fill(readFileSync(FILE))) })
  await page.click('button')
  await page.click('#cancel')
  await page.waitForSelector('#state:text-matches("^cancelled")')

  t.notOk(await page.isVisible('#result'))
  t.notOk(await page.isVisible('#cancel'))
  t.strictSame(complaints, [])
})

test('status.ts: the page follows the last upload, and no other', async (t) => {
  const example = startExample(t, 'status.ts')
  const [, url] = await example.prints(/open (http:\S+)/)
  const { page, complaints } = await openPage(t, url)
  const buffer = Buffer.concat(new Array(4).fill(readFileSync(FILE)))
  await page.setInputFiles('#file', { name: 'large.js', mimeType: 'text/plain', buffer })
  await page.click('button')
  await page.waitForSelector('#cancel:not([hidden])')
  const left = page.waitForEvent('requestfailed', (request) => request.url().includes('/tasks/'))
  await page.setInputFiles('#file', { name: 'small.txt', mimeType: 'text/plain', buffer: Buffer.from('small') })
  await page.click('button')
  await page.waitForSelector('#result:not([hidden])')
  await left

  t.equal(await page.textContent('#name'), 'small.txt')
  t.equal(await page.textContent('#state'), 'completed, 100 %')
  t.strictSame(complaints, [])
})

test('status.ts: the page says so where the server knows nothing of the task any more', async (t) => {
  const example = startExample(t, 'status.ts')
  const [, url] = await example.prints(/open (http:\S+)/)
  const { page } = await openPage(t, url)
  await page.route('**/tasks/*', (route) => route.fulfill({ status: 404, body: '' }))
  await page.setInputFiles('#file', FILE)
  await page.click('button')
  await page.waitForSelector('#state:text-is("nothing is known of it any more")')

  t.notOk(await page.isVisible('#cancel'))
})

function hash (content: Buffer): string {
  return createHash('sha256').update(content).digest('hex')
}
