// Threads start without the loaders of the test runner, which take seconds and some 64 MiB in each: the sources that
// they load are compiled here, once.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import workerThreads, { type WorkerOptions } from 'node:worker_threads'
import { buildSync } from 'esbuild'
import { ROOT } from './docs'

const LIB = join(ROOT, 'lib')
const compiled = mkdtempSync(join(tmpdir(), 'background-threads-'))
process.once('exit', () => { rmSync(compiled, { recursive: true, force: true }) })

buildSync({
  entryPoints: [join(LIB, '*.ts'), join(LIB, 'threads', '*.ts')],
  outbase: LIB,
  outdir: compiled,
  format: 'cjs',
  platform: 'node'
})

const loader = join(compiled, 'loader.cjs')
writeFileSync(loader, `
const { readFileSync } = require('node:fs')
require('node:module')._extensions['.ts'] = (module, file) => {
  const code = file.replace(${JSON.stringify(LIB)}, ${JSON.stringify(compiled)}).replace(/ts$/, 'js')
  module._compile(readFileSync(code, 'utf8'), file)
}
`)

// Nothing of what tap hands on, nor its coverage: test/threads/worker.test.ts covers what runs in threads.
const plain: WorkerOptions = { execArgv: ['--require', loader], env: { ...process.env, NODE_OPTIONS: '' } }

// Piscina takes it from there whenever it starts a thread.
workerThreads.Worker = class extends workerThreads.Worker {
  constructor (file: string | URL, options: WorkerOptions) { super(file, { ...options, ...plain }) }
}
