import type { Test } from 'tap'
import { chromium, type Page } from 'playwright-core'
import { findProgram, needs } from './redis'

const CHROMIUM = findProgram('chromium')

/** `t.test` where there is a browser: see `needsRedis`. */
export function needsBrowser (): Test['test'] {
  return needs('chromium', CHROMIUM)
}

export interface Opened {
  page: Page
  /** What went wrong: errors, messages of the console, requests to other hosts. */
  complaints: string[]
}

/** Opens a page in a browser of its own, that is gone with the test. */
export async function openPage (t: Test, url: string, options: Parameters<Awaited<ReturnType<typeof chromium.launch>>['newPage']>[0] = {}): Promise<Opened> {
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] })
  t.teardown(() => browser.close())
  const page = await browser.newPage(options)
  const complaints: string[] = []
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('console', (message) => { if (['error', 'warning'].includes(message.type())) complaints.push(message.text()) })
  page.on('request', (request) => {
    if (!request.url().startsWith('data:') && new URL(request.url()).host !== new URL(url).host) complaints.push(request.url())
  })
  await page.goto(url)
  return { page, complaints }
}
