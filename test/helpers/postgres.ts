import { execFileSync, spawn, type ChildProcess, type SpawnOptions } from 'node:child_process'
import { chownSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { end, findProgram, freePort, needs, output } from './redis'

// Debian keeps each version's programs in a folder of its own, out of the PATH.
const DEBIAN = '/usr/lib/postgresql'
// Who may run it where root may not.
const USERS = ['postgres', 'nobody']

/** A server of our own, on a free port of the loopback interface, that is gone with the test. */
export interface PostgresServer {
  readonly url: string
  /** Ends it at once, as a crash would. */
  kill (): Promise<void>
  start (): Promise<void>
  freeze (): void
  thaw (): void
}

/** As `needsRedis`. */
export function needsPostgres (): Test['test'] {
  return needs('PostgreSQL', programs())
}

export async function startPostgres (t: { teardown: (fn: () => unknown) => void }): Promise<PostgresServer> {
  const bin = programs() as string
  const dir = mkdtempSync(join(tmpdir(), 'postgres-'))
  const data = join(dir, 'data')
  const port = await freePort()
  const options = asUser(dir)
  execFileSync(join(bin, 'initdb'), ['-D', data, '-U', 'test', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'],
    { ...options, stdio: ['ignore', 'ignore', 'inherit'] })
  let child: ChildProcess | undefined
  const server: PostgresServer = {
    url: `postgres://test@127.0.0.1:${port}/postgres`,
    async kill () {
      child?.kill('SIGCONT')
      // As SIGKILL, but for the processes that it has started: they go too.
      await end(child, 'SIGQUIT')
      child = undefined
    },
    async start () {
      child = spawn(join(bin, 'postgres'), ['-D', data, '-p', String(port), '-c', 'listen_addresses=127.0.0.1',
        '-c', `unix_socket_directories=${dir}`], { ...options, stdio: ['ignore', 'ignore', 'pipe'] })
      await output(child, 'ready to accept connections')
    },
    freeze () { signalAll(child, 'SIGSTOP') },
    thaw () { signalAll(child, 'SIGCONT') }
  }
  t.teardown(async () => {
    server.thaw()
    await server.kill()
    rmSync(dir, { recursive: true, force: true })
  })
  process.once('exit', () => child?.kill('SIGQUIT'))
  await server.start()
  return server
}

/** @returns the folder of the newest version's programs. */
function programs (): string | undefined {
  const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN).sort((a, b) => Number(b) - Number(a)) : []
  return findProgram('initdb', versions.map((version) => join(DEBIAN, version, 'bin')))?.replace(/\/initdb$/, '')
}

/** PostgreSQL refuses to be run by root. */
function asUser (dir: string): SpawnOptions {
  const options: SpawnOptions = { cwd: dir, env: { PATH: process.env.PATH, HOME: dir } }
  if (process.getuid?.() !== 0) return options
  const [, , uid, gid] = readFileSync('/etc/passwd', 'utf8').split('\n').map((line) => line.split(':'))
    .find(([name]) => USERS.includes(name as string)) as string[]
  chownSync(dir, Number(uid), Number(gid))
  return { ...options, uid: Number(uid), gid: Number(gid) }
}

/** The server has a process for each connection. */
function signalAll (child: ChildProcess | undefined, signal: NodeJS.Signals): void {
  if (child?.pid === undefined) return
  const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim()
  for (const pid of [child.pid, ...children.split(' ').filter(Boolean).map(Number)]) {
    try {
      process.kill(pid, signal)
    } catch (error) {
      // One whose connection is gone may have ended by now.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
}
