import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import t, { type Test } from 'tap'

/** A server of our own, on a free port of the loopback interface, that is gone with the test. */
export interface RedisServer {
  readonly port: number
  readonly url: string
  /** As `kill -9`. */
  kill (): Promise<void>
  /** Starts it again, at the same port and with the data that it had. */
  start (): Promise<void>
  /** It takes connections and commands from here on, and does not answer. */
  freeze (): void
  thaw (): void
}

/**
 * `t.test` where the program is there. Else nothing is tested, in so many words, or, where the environment says
 * `CI_SERVERS=required`, the file fails.
 */
export function needsRedis (): Test['test'] {
  return needs('redis-server', findProgram('redis-server'))
}

export function needs (name: string, program: string | undefined): Test['test'] {
  if (program !== undefined) return t.test.bind(t) as Test['test']
  if (process.env.CI_SERVERS === 'required') throw new Error(`${name} is not installed`)
  t.plan(0, `${name} is not installed`)
  return (() => {}) as unknown as Test['test']
}

export function findProgram (name: string, folders: string[] = []): string | undefined {
  return [...(process.env.PATH ?? '').split(delimiter), ...folders].map((folder) => join(folder, name)).find((path) => existsSync(path))
}

interface Teardown { teardown: (fn: () => unknown) => void }

export async function startRedis (t: Teardown, args: string[] = ['--appendonly', 'yes']): Promise<RedisServer> {
  const dir = mkdtempSync(join(tmpdir(), 'redis-'))
  const port = await freePort()
  let child: ChildProcess | undefined
  const server: RedisServer = {
    port,
    url: `redis://127.0.0.1:${port}`,
    async kill () {
      await end(child)
      child = undefined
    },
    async start () {
      child = spawn(findProgram('redis-server') as string,
        ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--save', '', ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
      await output(child, 'Ready to accept connections')
    },
    freeze () { child?.kill('SIGSTOP') },
    thaw () { child?.kill('SIGCONT') }
  }
  t.teardown(async () => {
    await server.kill()
    rmSync(dir, { recursive: true, force: true })
  })
  // A test that is stopped runs no teardown.
  process.once('exit', () => child?.kill('SIGKILL'))
  await server.start()
  return server
}

/** Ends a process by its pid, frozen or not. */
export async function end (child: ChildProcess | undefined, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill(signal)
  await exited
}

/** Waits until a process has printed something, to one of its streams. */
export function output (child: ChildProcess, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = ''
    const listen = (chunk: Buffer): void => {
      said += String(chunk)
      if (said.includes(text)) resolve()
    }
    child.stdout?.on('data', listen)
    child.stderr?.on('data', listen)
    child.once('exit', () => reject(new Error(`${child.spawnfile} has ended: ${said}`)))
  })
}

export async function freePort (): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
