// Builds the page of the dashboard: dashboard/ → dist/dashboard/page. Each file appears at once and whole: tests build it
// too, side by side.
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const FROM = join(ROOT, 'dashboard')
const TO = join(ROOT, 'dist', 'dashboard', 'page')
const BUNDLED = ['preact', 'uplot']

const { outputFiles } = await build({
  entryPoints: [join(FROM, 'page.tsx'), join(FROM, 'page.css')],
  outdir: TO,
  bundle: true,
  minify: true,
  write: false,
  format: 'esm',
  target: ['es2022', 'safari16'],
  jsx: 'automatic',
  jsxImportSource: 'preact',
  legalComments: 'none'
})

mkdirSync(TO, { recursive: true })
for (const { path, contents } of outputFiles) put(path, contents)
for (const name of ['index.html', 'icon.svg']) put(join(TO, name), readFileSync(join(FROM, name)))
put(join(TO, 'LICENSES.txt'), BUNDLED.map(licenseOf).join('\n\n'))

function put (path, contents) {
  const unfinished = `${path}.${process.pid}`
  writeFileSync(unfinished, contents)
  renameSync(unfinished, path)
}

function licenseOf (name) {
  return `${name}\n\n${readFileSync(join(ROOT, 'node_modules', name, 'LICENSE'), 'utf8')}`
}
