import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type background from '../../lib/index'
import { needsBrowser, openPage, type Opened } from '../helpers/browser'
import { ROOT } from '../helpers/docs'
import { startExample } from '../helpers/example'
import { latch } from '../helpers/latch'
import { createAppWithStatus } from '../helpers/status-app'

const FILE = require.resolve('typescript')

// A browser takes its time to start, on a machine that may have other things to do.
t.setTimeout(180_000)

const test = needsBrowser()

/** The page of the example, with an upload that adds these tasks, one after the other. */
async function openUploads (t: Test, tasks: Array<background.TaskFunction<[], unknown>>): Promise<Opened & { upload: (name: string) => Promise<void> }> {
  const { url } = await createAppWithStatus(t, {}, { closeTimeout: 0 }, {}, (app) => {
    for (const [path, type] of [['page.html', 'html'], ['page.css', 'css'], ['page.js', 'javascript']]) {
      app.get(`/${path}`, (_request, reply) => reply.type(`text/${type}`).send(readFileSync(join(ROOT, 'example', 'status', path))))
    }
    app.addContentTypeParser('multipart/form-data', (_request, payload, done) => { payload.resume().once('end', done) })
    app.post('/files', (_request, reply) => reply.accepted(reply.background.addTask(tasks.shift()!)))
  })
  const opened = await openPage(t, `${url}/page.html`)
  async function upload (name: string): Promise<void> {
    await opened.page.setInputFiles('#file', { name, mimeType: 'text/plain', buffer: Buffer.from(name) })
    await opened.page.click('button')
  }
  return { ...opened, upload }
}

test('status.ts: the page uploads a file, and links to what its task has made of it', async (t) => {
  const example = startExample(t, 'status.ts')
  const [, url] = await example.prints(/open (http:\S+)/)
  const { page, complaints } = await openPage(t, url)
  await page.setInputFiles('#file', FILE)
  await page.click('button')
  await page.waitForSelector('#result:not([hidden])')

  t.equal(await page.textContent('#state'), 'completed, 100 %')
  t.equal(await page.textContent('#name'), 'typescript.js')
  t.notOk(await page.isVisible('#cancel'))
  const link = await page.getAttribute('#result', 'href')
  const gzipped = Buffer.from(await (await fetch(new URL(link!, url))).arrayBuffer())
  t.equal(hash(gunzipSync(gzipped)), hash(readFileSync(FILE)))
  t.strictSame(complaints, [])
})

test('the page of uploads shows how far a task has come, and where its result is', async (t) => {
  const go = latch()
  const { page, complaints, upload } = await openUploads(t, [async function () {
    this.progress(0.25)
    await go
    this.progress(1)
    return { location: '/there' }
  }])
  await upload('cat.png')
  await page.waitForSelector('#state:text-is("active, 25 %")')
  t.equal(await page.textContent('#name'), 'cat.png')
  t.equal(await page.getAttribute('#bar', 'value'), '0.25')
  t.notOk(await page.isVisible('#result'))
  go.open()
  await page.waitForSelector('#state:text-is("completed, 100 %")')

  t.equal(await page.getAttribute('#result', 'href'), '/there')
  t.notOk(await page.isVisible('#cancel'))
  t.strictSame(complaints, [])
})

test('the button of the page of uploads cancels the task', async (t) => {
  const { page, complaints, upload } = await openUploads(t, [() => new Promise(() => {})])
  await upload('cat.png')
  await page.click('#cancel')
  await page.waitForSelector('#state:text-is("cancelled")')

  t.notOk(await page.isVisible('#result'))
  t.notOk(await page.isVisible('#cancel'))
  t.strictSame(complaints, [])
})

test('the page of uploads follows the last one, and no other', async (t) => {
  const { page, complaints, upload } = await openUploads(t, [async function () {
    this.progress(0.5)
    await latch()
  }, () => ({ location: '/there' })])
  await upload('large.js')
  await page.waitForSelector('#state:text-is("active, 50 %")')
  const left = page.waitForEvent('requestfailed', (request) => request.url().includes('/tasks/'))
  await upload('small.txt')
  await page.waitForSelector('#result:not([hidden])')
  await left

  t.equal(await page.textContent('#name'), 'small.txt')
  t.equal(await page.textContent('#state'), 'completed')
  t.strictSame(complaints, [])
})

test('the page of uploads says so where the server knows nothing of the task any more', async (t) => {
  const { page, upload } = await openUploads(t, [() => {}])
  await page.route('**/tasks/*', (route) => route.fulfill({ status: 404, body: '' }))
  await upload('cat.png')
  await page.waitForSelector('#state:text-is("nothing is known of it any more")')

  t.notOk(await page.isVisible('#cancel'))
})

test('the page of uploads says so where one has failed, and nothing of the one before is left', async (t) => {
  const { page, upload } = await openUploads(t, [function () {
    this.progress(1)
    return { location: '/there' }
  }])
  await upload('cat.png')
  await page.waitForSelector('#result:not([hidden])')
  const errors: Error[] = []
  page.on('pageerror', (error) => errors.push(error))
  const answers = [{ status: 502, contentType: 'text/html', body: '<h1>Bad Gateway</h1>' }, { status: 413, json: { message: 'too large' } }]
  await page.route('**/files', (route) => answers.length > 0 ? route.fulfill(answers.shift()) : route.abort())
  for (const state of ['the upload has failed', 'too large', 'the upload has failed']) {
    await upload('dog.png')
    await page.waitForSelector(`#state:text-is("${state}")`)
    t.strictSame([await page.textContent('#name'), await page.getAttribute('#bar', 'value')], ['dog.png', '0'])
    t.notOk(await page.isVisible('#result'))
  }
  t.strictSame(errors, [])
})

function hash (content: Buffer): string {
  return createHash('sha256').update(content).digest('hex')
}
