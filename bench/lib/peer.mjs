// Servers of the peers, each a program of its own that listens on `PORT` and says at /report what it has done.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { freePort } from './child.mjs'
import { PYTHON, hasStarlette } from './python.mjs'

const directory = fileURLToPath(new URL('../peers/', import.meta.url))
const node = (file) => [process.execPath, [directory + file]]

const COMMANDS = {
  'fastify-background': node('fastify-background.mjs'),
  'Fastify, a loop in onResponse': node('fastify-loop.mjs'),
  Starlette: [PYTHON, [directory + 'starlette_app.py']],
  'Hono, on finish': node('hono.mjs'),
  'Express, on finish': node('express.mjs'),
  'Elysia, elysia-background': node('elysia.mjs'),
  'fastify-background, journal': node('fastify-journal.mjs')
}

/** The peers that can be had here, ours first. */
export function peers () {
  const starlette = hasStarlette()
  return Object.keys(COMMANDS).filter((name) => name !== 'fastify-background, journal' && (name !== 'Starlette' || starlette))
}

/** Starts a peer's server, and waits until it answers. */
export async function openPeer (name, env = {}) {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const [command, args] = COMMANDS[name]
  // In a CI, some of them leave out a part of their shutdown.
  const { CI, ...own } = process.env
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'ignore'], env: { ...own, NODE_ENV: 'production', ...env, PORT: String(port) } })
  const exited = once(child, 'exit')
  const report = async () => await (await fetch(`${url}/report`)).json()
  for (let i = 0; ; i++) {
    if (child.exitCode !== null) throw new Error(`${name}: the server has ended: ${child.exitCode}`)
    const answer = await report().catch(() => undefined)
    if (answer !== undefined) break
    if (i === 400) throw new Error(`${name}: the server does not answer`)
    await sleep(25)
  }
  return {
    url,
    pid: child.pid,
    report,
    async close (signal = 'SIGKILL') {
      child.kill(signal)
      await exited
    }
  }
}
