// What a report says of the machine and the programs that it was measured with.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus, getPriority, loadavg, release, totalmem, type } from 'node:os'
import process from 'node:process'
import { PYTHON } from './python.mjs'

const PACKAGES = [
  'fastify', 'fastq', 'p-queue', 'hono', '@hono/node-server', 'express', 'elysia', 'elysia-background', '@elysiajs/node',
  'bullmq', 'classic-level', 'undici'
]

export function machine () {
  return {
    cpu: cpus()[0].model,
    cores: cpus().length,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    system: `${type()} ${release()}`,
    load: loadavg()[0].toFixed(2),
    nice: getPriority(),
    versions: { node: process.versions.node, ...packageVersions(), ...pythonVersions(), ...redisVersion() }
  }
}

function packageVersions () {
  return Object.fromEntries(PACKAGES.map((name) => {
    const manifest = new URL(`../../node_modules/${name}/package.json`, import.meta.url)
    return [name, JSON.parse(readFileSync(manifest, 'utf8')).version]
  }))
}

function pythonVersions () {
  const program = 'import json, platform, starlette, uvicorn, uvloop, httptools\n' +
    'print(json.dumps({ "python": platform.python_version(), "starlette": starlette.__version__, "uvicorn": uvicorn.__version__,' +
    ' "uvloop": uvloop.__version__, "httptools": httptools.__version__ }))'
  return JSON.parse(output(PYTHON, ['-c', program]) ?? '{}')
}

function redisVersion () {
  const version = /v=([\d.]+)/.exec(output('redis-server', ['--version']) ?? '')?.[1]
  return version === undefined ? {} : { redis: version }
}

function output (command, args) {
  try {
    return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  } catch {
    return undefined
  }
}
