// Processes that a question is measured in.
import { execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { cpus } from 'node:os'
import process from 'node:process'

/** Starts a process, and waits for its first message. */
export async function start (script, args = [], options = {}) {
  const child = fork(script, args, options)
  return { child, hello: await answer(child) }
}

/** Sends a message, and waits for the answer. */
export async function ask (child, message) {
  child.send(message)
  return await answer(child)
}

/** Keeps a process on one core, where that can be done. */
export function pin (pid, core) {
  // Not `availableParallelism()`: that is 1 once this process itself is kept on one.
  if (process.platform !== 'linux' || cpus().length < 2) return
  try {
    execFileSync('taskset', ['-a', '-p', '-c', String(core), String(pid)], { stdio: 'ignore' })
  } catch {
    // No taskset, or not that core.
  }
}

/** A port of the loopback interface that is free now. */
export async function freePort () {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address()
  await once(probe.close(), 'close')
  return port
}

// One that has died is not waited for.
async function answer (child) {
  const heard = new AbortController()
  const { signal } = heard
  const death = once(child, 'exit', { signal }).then(([code]) => { throw new Error(`the process measured has ended: ${code}`) })
  try {
    const [message] = await Promise.race([once(child, 'message', { signal }), death])
    return message
  } finally {
    heard.abort()
  }
}
