import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

// Built from dashboard/ by scripts/page.mjs. The same place, seen from lib/ and from dist/.
const DIRECTORY = join(__dirname, '..', '..', 'dist', 'dashboard', 'page')

const TYPES = {
  'index.html': 'text/html; charset=utf-8',
  'page.js': 'text/javascript; charset=utf-8',
  'page.css': 'text/css; charset=utf-8',
  'icon.svg': 'image/svg+xml'
} as const

/** A file of the page, in memory. */
export interface Asset {
  readonly name: keyof typeof TYPES
  readonly type: string
  readonly body: Buffer
  readonly etag: string
}

/** Reads the page, once, at boot. Rejects where it was not built. */
export async function readPage (): Promise<readonly Asset[]> {
  return await Promise.all(Object.entries(TYPES).map(async ([name, type]) => {
    const body = await readFile(join(DIRECTORY, name))
    const etag = `"${createHash('sha256').update(body).digest('base64url')}"`
    return { name: name as Asset['name'], type, body, etag }
  }))
}
