import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Test } from 'tap'

const ROOT = resolve(__dirname, '../..')

export interface Ending { code: number | null, signal: NodeJS.Signals | null, stdout: string, stderr: string }

/** An example at work, in a process of its own. */
export interface Example {
  /** Resolves with what the pattern finds in the output; rejects where the process ends without it. */
  prints: (pattern: RegExp) => Promise<RegExpExecArray>
  /** Sends SIGTERM. */
  terminate: () => void
  ended: Promise<Ending>
  /** What is left of its temporary files. */
  leftovers: () => string[]
}

/** Starts a file of `example/` on the sources: a build may be missing, or older than what is tested. */
export function startExample (t: Test, file: string, ...nodeOptions: string[]): Example {
  const paths = {
    'fastify-background': [join(ROOT, 'lib/index.ts')],
    'fastify-background/*': ['engines', 'otel', 'threads'].map((wing) => join(ROOT, `lib/${wing}/*.ts`))
  }
  const directory = t.testdir({
    'tsconfig.json': JSON.stringify({ extends: join(ROOT, 'tsconfig.json'), compilerOptions: { paths } }),
    tmp: {}
  })
  const tmp = join(directory, 'tmp')
  const child = spawn(process.execPath, ['--import', 'tsx', ...nodeOptions, join('example', file)], {
    cwd: ROOT,
    // Nothing of what tap hands on to child processes: neither its loader nor its coverage.
    env: {
      PATH: process.env.PATH,
      ...process.env.REDIS_URL !== undefined && { REDIS_URL: process.env.REDIS_URL },
      TMPDIR: tmp,
      TSX_TSCONFIG_PATH: join(directory, 'tsconfig.json'),
      _TAPJS_PROCESSINFO_COVERAGE_: '0'
    },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  t.teardown(() => { child.kill('SIGKILL') })

  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => { stdout += text })
  child.stderr.setEncoding('utf8').on('data', (text: string) => { stderr += text })

  return {
    prints: (pattern) => new Promise((resolve, reject) => {
      const look = (): void => {
        const found = pattern.exec(stdout)
        if (found !== null) resolve(found)
      }
      child.stdout.on('data', look)
      child.on('close', () => reject(new Error(`ended without ${String(pattern)}:\n${stdout}${stderr}`)))
      look()
    }),
    terminate: () => { child.kill('SIGTERM') },
    ended: new Promise((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }))
    }),
    leftovers: () => readdirSync(tmp).filter((name) => name.startsWith('background-'))
  }
}

/** A row of the timeline that examples draw. */
export interface Row { who: string, mark: '┬' | '┴' | '×' | '', what: string }

/** The rows of each part of a timeline, by its title. */
export function timelineOf (output: string): Map<string, Row[]> {
  const parts = new Map<string, Row[]>()
  let rows: Row[] = []
  for (const line of output.split('\n')) {
    const title = /^── (.+?) ─+$/.exec(line)?.[1]
    if (title !== undefined) parts.set(title, rows = [])
    const [, who, rail, what] = /^ *\+\d+ ms {2}(\S+) +([┬┴×│ ]*)(.*)$/.exec(line) ?? []
    if (who !== undefined) rows.push({ who, mark: (/[┬┴×]/.exec(rail)?.[0] ?? '') as Row['mark'], what })
  }
  return parts
}

/** Who began and ended in which order: `sendMail ┬`, `mailbox`, `sendMail ┴`. */
export function order (rows: Row[]): string[] {
  return rows.map(({ who, mark }) => `${who} ${mark}`.trim())
}
