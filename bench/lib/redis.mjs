// A Redis of the bench's own, on a free port of the loopback interface.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { freePort } from './child.mjs'

/** @returns `undefined` where redis-server is not installed */
export async function startRedis () {
  const directory = await mkdtemp(join(tmpdir(), 'bench-'))
  const port = await freePort()
  const server = spawn('redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--dir', directory, '--save', '', '--appendonly', 'yes'],
    { stdio: ['ignore', 'pipe', 'inherit'] })
  const ready = new Promise((resolve) => {
    createInterface(server.stdout).on('line', (line) => { if (line.includes('Ready to accept connections')) resolve(true) })
  })
  const missing = new Promise((resolve) => { server.once('error', () => resolve(false)) })
  if (!await Promise.race([ready, missing])) {
    await rm(directory, { recursive: true })
    return undefined
  }
  return {
    url: `redis://127.0.0.1:${port}`,
    async stop () {
      const ended = once(server, 'exit')
      server.kill()
      await ended
      await rm(directory, { recursive: true })
    }
  }
}
