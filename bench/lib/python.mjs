// Debian's Python, which its packages are installed for: another may come first on the PATH.
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'

const DEBIANS = '/usr/bin/python3'

export const PYTHON = existsSync(DEBIANS) ? DEBIANS : 'python3'

/** Whether Starlette and what it is served with are installed; says what to install if not. */
export function hasStarlette () {
  try {
    execFileSync(PYTHON, ['-c', 'import starlette, uvicorn, uvloop, httptools'], { stdio: 'ignore' })
    return true
  } catch {
    console.log('Starlette is left out: apt-get install python3-starlette python3-uvicorn python3-uvloop python3-httptools')
    return false
  }
}
