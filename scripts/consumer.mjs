// Packs the project as it is published, installs that in empty projects, and uses it there as its consumers do.
// Installs from the registry. What the projects run and compile is in scripts/consumer, and the type tests in types.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { extname, join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

const PROJECT = fileURLToPath(new URL('..', import.meta.url))
const FIXTURES = join(PROJECT, 'scripts', 'consumer')
const MANIFEST = readJson(join(PROJECT, 'package.json'))
const OURS = join('node_modules', MANIFEST.name)

const NEWEST = MANIFEST.peerDependencies.fastify
const LOWEST = NEWEST.replace(/^\^/, '')

const PACKED = ['CHANGELOG.md', 'LICENSE', 'README.md', 'dist', 'docs', 'package.json']
const PAGE = ['LICENSES.txt', 'icon.svg', 'index.html', 'page.css', 'page.js']
const COMPILERS = { 'TypeScript 6': 'typescript', 'TypeScript 7': 'typescript7' }
const TOOLS = ['typescript@~6.0', 'typescript7@npm:typescript@7', ...['@types/node', 'expect-type', 'typebox',
  '@fastify/type-provider-typebox', 'piscina'].map((name) => `${name}@${MANIFEST.devDependencies[name]}`)]
// Whose types those of a sub-path name. Where applications run, it is missing, as with most.
const API = `@opentelemetry/api@${MANIFEST.devDependencies['@opentelemetry/api']}`

const NO_EMIT = ['--noEmit']
const EMITTED = 'emitted'
const BOTH_FORMATS = ['.cts', '.mts']
const MODULES = {
  node16: { flags: ['--module', 'node16'], formats: BOTH_FORMATS },
  nodenext: { flags: ['--module', 'nodenext'], formats: BOTH_FORMATS },
  bundler: { flags: ['--module', 'esnext', '--moduleResolution', 'bundler'], formats: ['.ts'] }
}

const count = { passed: 0, failed: 0 }
const root = mkdtempSync(join(tmpdir(), `${MANIFEST.name}-`))
try {
  const tarball = check('npm pack packs it', pack)
  if (tarball !== undefined) {
    const newest = check(`installs beside fastify@${NEWEST}`, () => install(tarball, NEWEST))
    if (newest !== undefined) {
      check('the package holds what it should, and nothing else', () => assertFiles(newest))
      checkRuns(newest)
      checkTypes(newest, ['node16', 'nodenext', 'bundler'])
      checkDeclarations(newest)
      checkTypeTests(newest)
    }
    const lowest = check(`installs beside fastify@${LOWEST}`, () => install(tarball, LOWEST))
    if (lowest !== undefined) {
      checkRuns(lowest)
      checkTypes(lowest, ['node16'])
      checkTypeTests(lowest)
    }
  }
} finally {
  rmSync(root, { recursive: true, force: true })
}
console.log(`${count.passed} passed, ${count.failed} failed`)
process.exitCode = count.failed === 0 ? 0 : 1

/** One line a check; what `body` returns, or `undefined` where it failed. */
function check (name, body) {
  try {
    const value = body()
    count.passed++
    console.log(`ok      ${name}`)
    return value ?? null
  } catch (error) {
    count.failed++
    console.log(`not ok  ${name}\n${error.message.replace(/^/gm, '        ')}`)
  }
}

function pack () {
  npm(['pack', '--pack-destination', root], PROJECT)
  return join(root, readdirSync(root).find((name) => name.endsWith('.tgz')))
}

function install (tarball, fastify) {
  const directory = join(root, `beside-${fastify.replace(/\W+/g, '-')}`)
  mkdirSync(directory)
  writeFileSync(join(directory, 'package.json'), JSON.stringify({ name: 'consumer', private: true }))
  add(directory, [tarball, `fastify@${fastify}`, ...TOOLS])
  for (const name of readdirSync(FIXTURES)) {
    copyFileSync(join(FIXTURES, name), join(directory, name))
    if (extname(name) === '.ts') {
      for (const format of BOTH_FORMATS) copyFileSync(join(FIXTURES, name), join(directory, name.replace('.ts', format)))
    }
  }
  const { version } = readJson(join(directory, 'node_modules', 'fastify', 'package.json'))
  if (fastify === LOWEST) assert.equal(version, LOWEST)
  return { directory, title: `fastify ${version}` }
}

function assertFiles ({ directory }) {
  const ours = join(directory, OURS)
  assert.deepEqual(readdirSync(ours).sort(), PACKED)
  const built = filesBelow(join(PROJECT, 'lib'))
    .flatMap((name) => [name.replace(/\.ts$/, '.js'), name.replace(/\.ts$/, '.d.ts')])
    .concat(PAGE.map((name) => join('dashboard', 'page', name)))
  assert.deepEqual(filesBelow(join(ours, 'dist')), built.sort())
}

function checkRuns ({ directory, title }) {
  const run = (name) => assertExit(spawnSync(process.execPath, [name], { cwd: directory, encoding: 'utf8' }))
  check(`${title}: a CommonJS application runs`, () => run('require.cjs'))
  check(`${title}: an ESM application runs`, () => run('import.mjs'))
  check(`${title}: tasks run in threads, from CommonJS and from ESM`, () => { for (const name of ['threads.cjs', 'threads.mjs']) run(name) })
  check(`${title}: require loads its own files and its two dependencies alone, and not the sub-path`, () => run('loaded.cjs'))
  check(`${title}: import does not load the sub-path either`, () => run('loaded.mjs'))
}

// The right and the wrong are compiled together: a compiler's start is what takes the time.
function checkTypes (project, modules) {
  for (const [compiler, mode] of product(Object.keys(COMPILERS), modules)) {
    const { flags, formats } = MODULES[mode]
    const right = formats.flatMap((format) => format === '.cts' ? ['types.cts', 'required.cts'] : [`types${format}`])
    const wrong = formats.map((format) => `wrong${format}`)
    const errors = compile(project, compiler, [...flags, ...NO_EMIT], [...right, ...wrong])
    const expected = wrong.flatMap((name) => mistakesIn(project, name))

    const title = `${project.title}, ${compiler}, ${mode}`
    check(`${title}: no error in ${right.join(', ')}`, () => {
      assert.deepEqual(errors.filter((error) => !error.startsWith('wrong.')), [])
    })
    check(`${title}: the ${expected.length} mistakes in ${wrong.join(', ')} are errors`, () => {
      assert.deepEqual(errors.filter((error) => error.startsWith('wrong.')).map((error) => error.split(':', 1)[0]), expected)
    })
  }
}

function checkDeclarations (project) {
  for (const compiler of Object.keys(COMPILERS)) {
    const of = (name) => BOTH_FORMATS.map((format) => `${name}${format}`)
    check(`${project.title}, ${compiler}: declarations of a consumer can name the types`, () => {
      const emit = ['--declaration', '--emitDeclarationOnly', '--outDir', EMITTED]
      assert.deepEqual(compile(project, compiler, [...MODULES.nodenext.flags, ...emit], of('declarations')), [])
    })
    check(`${project.title}, ${compiler}: declarations of a consumer keep the types`, () => {
      assert.deepEqual(compile(project, compiler, [...MODULES.nodenext.flags, ...NO_EMIT], of('declared')), [])
    })
    rmSync(join(project.directory, EMITTED), { recursive: true, force: true })
  }
}

// `npm run test:types` has them under TypeScript 6.
function checkTypeTests (project) {
  check(`${project.title}, TypeScript 7: the type tests hold`, () => {
    add(project.directory, [API])
    const names = readdirSync(join(PROJECT, 'types')).filter((name) => name.endsWith('.test-d.ts'))
    for (const name of names) copyFileSync(join(PROJECT, 'types', name), join(project.directory, name))
    assert.deepEqual(compile(project, 'TypeScript 7', [...MODULES.nodenext.flags, ...NO_EMIT], names), [])
  })
}

/** The errors in `files`, and in our own declarations, as `file(line) code: message`. */
function compile ({ directory }, compiler, flags, files) {
  const tsc = join(directory, 'node_modules', COMPILERS[compiler], 'bin', 'tsc')
  const { stdout, stderr, error } = spawnSync(process.execPath, [tsc, '--strict', '--skipLibCheck', 'false', '--target',
    'es2022', '--types', 'node', '--pretty', 'false', ...flags, ...files], { cwd: directory, encoding: 'utf8' })
  assert.equal(error, undefined)
  assert.equal(stderr, '')
  const errors = stdout.split('\n').filter((line) => /error TS\d+:/.test(line))
    .map((line) => line.replace(/^(.+)\((\d+),\d+\): error (TS\d+): /, '$1($2) $3: '))
  // A slip in the declarations of another package is not ours.
  return errors.filter((line) => !line.startsWith('node_modules/') || line.startsWith(`${OURS.split(sep).join('/')}/`))
}

function mistakesIn ({ directory }, name) {
  return readFileSync(join(directory, name), 'utf8').split('\n').flatMap((line, index) => {
    const code = / \/\/ (TS\d+)$/.exec(line)?.[1]
    return code === undefined ? [] : [`${name}(${index + 1}) ${code}`]
  })
}

function add (directory, packages) {
  npm(['install', '--ignore-scripts', '--no-audit', '--no-fund', ...packages], directory)
}

function npm (args, cwd) {
  assertExit(spawnSync('npm', [...args, '--loglevel=error'],
    { cwd, encoding: 'utf8', shell: process.platform === 'win32' }))
}

function assertExit ({ status, stdout, stderr, error }) {
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`exit code ${status}\n${stdout}${stderr}`.trimEnd())
}

function filesBelow (directory) {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
    .sort()
}

function product (a, b) {
  return a.flatMap((x) => b.map((y) => [x, y]))
}

function readJson (file) {
  return JSON.parse(readFileSync(file, 'utf8'))
}
