import { existsSync } from 'node:fs'
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core'
import tap, { type Test } from 'tap'
import { findProgram, needs } from './redis'

const CHROMIUM = findProgram('chromium') ?? ['/usr/lib/chromium/chromium'].find((path) => existsSync(path))

// One for all tests of a file: it takes its time to start.
let browser: Promise<Browser> | undefined

/** `t.test` where there is a browser: see `needsRedis`. */
export function needsBrowser (): Test['test'] {
  return needs('chromium', CHROMIUM)
}

export interface Opened {
  page: Page
  /** What went wrong: errors, messages of the console, requests to other hosts. */
  complaints: string[]
}

/** Opens a page, with cookies and settings of its own, that is gone with the test. */
export async function openPage (t: Pick<Test, 'teardown'>, url: string, options: BrowserContextOptions = {}): Promise<Opened> {
  browser ??= startBrowser()
  const context = await (await browser).newContext(options)
  t.teardown(() => context.close())
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('console', (message) => { if (['error', 'warning'].includes(message.type())) complaints.push(message.text()) })
  page.on('request', (request) => {
    if (!request.url().startsWith('data:') && new URL(request.url()).host !== new URL(url).host) complaints.push(request.url())
  })
  await page.goto(url)
  return { page, complaints }
}

async function startBrowser (): Promise<Browser> {
  // In a container there may be no sandbox for root, and too little shared memory.
  const started = await chromium.launch({ executablePath: CHROMIUM!, args: ['--no-sandbox', '--disable-dev-shm-usage'] })
  tap.teardown(() => started.close())
  return started
}
