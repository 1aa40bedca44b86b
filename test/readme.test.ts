// Holds the documents to the code: what they show runs, what they name is there.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import Fastify from 'fastify'
import t from 'tap'
import background from '../lib/index'
import { blocksOf, documents, filesOf, read, ROOT, snippetsOf, type Snippet } from './helpers/docs'
import { findProgram, startRedis } from './helpers/redis'
import { request, run, typeErrors, type Running } from './helpers/snippets'

interface Manifest { scripts: Record<string, string>, dependencies: Record<string, string>, devDependencies: Record<string, string> }

const manifest: Manifest = require('../package.json')

// What is neither run nor looked at closer: output, other languages, pictures.
const OTHER_LANGUAGES = ['text', 'python', 'mermaid']

// It loads the compiler twice, and starts a process: on a busy machine that takes longer than tap's 30 s.
t.setTimeout(600_000)

const snippets = documents().flatMap(snippetsOf)
const hasRedis = findProgram('redis-server') !== undefined || process.env.CI_SERVERS === 'required'
let executed = 0

for (const snippet of snippets) {
  if (needsRedis(snippet) && !hasRedis) {
    executed++
    t.comment(`${snippet.file}:${snippet.line}: redis-server is not installed`)
    continue
  }
  t.test(`${snippet.file}:${snippet.line}: the snippet runs, and does what it says`, async (t) => {
    executed++
    if (snippet.code.includes('close-with-grace')) await survivesSigterm(t, snippet)
    else if (/from '(tap|node:test)'/.test(snippet.code)) await passes(t, snippet)
    else await runs(t, snippet)
  })
}

t.test('no snippet is left out', async (t) => {
  const found = documents().flatMap((file) => read(file).match(/^ *(?:```|~~~)[ \t]*(?:js|jsx|mjs|cjs|javascript|ts|tsx|mts|cts|typescript)\b/gim) ?? [])
  const files = documents().flatMap((file) => [...filesOf(file).keys()].map((name) => ({ file, name })))
  for (const { file, name } of files) t.ok(snippetsOf(file).some(({ code }) => code.includes(`'./${name}'`)), `${file}: ${name}`)
  t.equal(executed + files.length, found.length)
  t.ok(executed > 0)
})

t.test('every block is in a language that is checked here or cannot be', async (t) => {
  for (const { file, line, language } of documents().flatMap(blocksOf)) {
    t.ok(['js', 'ts', 'sh', ...OTHER_LANGUAGES].includes(language), `${file}:${line}: ${language}`)
  }
})

t.test('the snippets in TypeScript have no type errors', async (t) => {
  const typed = snippets.filter(({ language }) => language === 'ts')
  t.ok(typed.length > 0)
  t.strictSame(typeErrors(typed), [])
})

t.test('what has to be an error of a snippet is one: the checks can fail', async (t) => {
  const broken = (language: string, source: string): Snippet =>
    ({ file: 'none', line: 1, language, info: '', code: source, source, files: new Map(), prints: undefined })
  await t.rejects(run(broken('js', 'import x from \'node:fs\'\nthrow new Error(\'thrown\')'), { directory: '' }), { message: 'thrown' })
  await t.rejects(run(broken('js', 'const = 1'), { directory: '' }), { name: 'SyntaxError' })
  t.match(typeErrors([broken('ts', 'export const text: string = 1')]), [/TS2322/])
})

t.test('the first example of the README has at most 15 lines', async (t) => {
  const [{ code }] = snippetsOf('README.md')
  t.ok(code.trimEnd().split('\n').length <= 15)
})

t.test('the commands in the documents are there', async (t) => {
  const commands = documents().flatMap(blocksOf).filter(({ language }) => language === 'sh')
    .flatMap(({ file, code }) => code.trimEnd().split('\n').map((command) => ({ file, command: command.replace(/ +#.*$/, '') })))
  t.ok(commands.length > 0)
  for (const { file, command } of commands) t.ok(isThere(command), `${file}: ${command}`)
})

t.test('the scripts that the documents name are there, and their files too', async (t) => {
  const names = documents().flatMap((file) => [...read(file).matchAll(/npm run ([\w:-]+)/g)].map(([, name]) => name))
  t.ok(names.length > 0)
  for (const name of names) {
    t.ok(manifest.scripts[name], name)
    for (const [file] of manifest.scripts[name].matchAll(/[\w/.]+\.(?:mjs|ts)\b/g)) t.ok(existsSync(join(ROOT, file)), file)
  }
  t.equal(manifest.scripts.test, 'tap', 'npm test is all the tests')
})

t.test('the links in the documents lead somewhere', async (t) => {
  for (const file of documents()) {
    for (const [, path, anchor] of read(file).matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)) {
      const target = path === '' ? file : join(dirname(file), path)
      t.ok(existsSync(join(ROOT, target)), `${file}: ${path}`)
      if (anchor !== undefined) t.ok(anchorsOf(target).includes(anchor), `${file}: ${path}#${anchor}`)
    }
  }
})

t.test('the README has every option, every error and every name that the package exports', async (t) => {
  const readme = read('README.md')
  const options = await optionNames()
  t.ok(options.length > 0)
  for (const option of options) t.match(readme, new RegExp(`^\\| \`${option}\` \\| .+ \\| .+ \\|$`, 'm'))
  for (const [code, constructor] of Object.entries(background.errorCodes)) {
    const { statusCode } = new (constructor as unknown as new () => { statusCode: number })()
    t.match(readme, new RegExp(`^\\| \`${code}\` \\| ${statusCode} \\| .+ \\|$`, 'm'))
  }
  for (const [name, value] of Object.entries(background)) {
    // Under several names it is the plugin itself.
    if (value as unknown !== background) t.match(readme, new RegExp(`\\b${name}\\b`))
  }
})

t.test('a row of a table has a table: without one it is no more than text', async (t) => {
  for (const file of documents()) {
    for (const paragraph of read(file).replace(/^```.*?^```/gms, '').split(/\n\s*\n/)) {
      if (paragraph.startsWith('|')) t.match(paragraph.split('\n')[1], /^\|(?: *:?-+:? *\|)+$/, `${file}: ${paragraph.slice(0, 60)}`)
    }
  }
})

t.test('docs/design-notes.md has every file of lib and every dependency, and no other', async (t) => {
  const rows = [...read('docs/design-notes.md').matchAll(/^\| (.+?) \| .+ \|$/gm)].map(([, names]) => names.split(', '))
  const files = rows.flat().filter((name) => name.startsWith('`')).map((name) => name.slice(1, -1)).filter((name) => name !== 'lib/')
  const inLib = readdirSync(join(ROOT, 'lib'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'))
  t.strictSame(files.sort(), inLib.sort())

  const names = rows.flat().filter((name) => /^@?[a-z][\w/*-]*$/.test(name) && name !== 'dependency')
  // What is a peer and one for development is in both tables.
  const dependencies = Object.keys({ ...manifest.dependencies, ...manifest.devDependencies })
  t.strictSame([...new Set(names)].filter((name) => name !== '@types/*').sort(), dependencies.filter((name) => !name.startsWith('@types/')).sort())
})

t.test('each point of docs/guarantees.md names test files that hold it', async (t) => {
  const points = read('docs/guarantees.md').split(/^### /m).slice(1)
  t.ok(points.length > 0)
  for (const point of points) {
    const name = /^[A-Z]\d/.exec(point)?.[0]
    const files = [...point.slice(point.lastIndexOf('Held by')).matchAll(/`(test\/[\w/-]+\.test\.ts)`/g)].map(([, file]) => file)
    t.ok(name !== undefined && files.length > 0, point.split('\n')[0])
    for (const file of files) {
      t.ok(existsSync(join(ROOT, file)) && new RegExp(`['"\`][^'"\`]*\\b${name}\\b[^'"\`]*: `).test(read(file)), `${name}: ${file}`)
    }
  }
})

async function runs (t: tap.Test, snippet: Snippet): Promise<void> {
  const running = await run(snippet, { directory: t.testdir(), redis: needsRedis(snippet) ? (await startRedis(t)).url : undefined })
  t.teardown(() => Promise.all(running.apps.map((app) => app.close())))
  t.ok(running.apps.length > 0, 'it makes an application')
  if (!snippet.code.includes('.inject(')) {
    for (const status of await request(running)) t.ok(status < 400, `a reply of ${status}`)
  }
  for (const app of running.apps) if (app.background !== undefined) await ends(t, snippet, running, app.background)
  if (snippet.prints !== undefined) t.strictSame(running.printed, snippet.prints)
}

async function ends (t: tap.Test, snippet: Snippet, running: Running, tasks: background.AppBackground): Promise<void> {
  await tasks.idle()
  const { accepted, failed, discarded } = tasks.stats()
  if (snippet.info !== 'beginning') t.ok(accepted > 0, 'it has a task')
  if (!/throw |failed/.test(snippet.code)) t.strictSame({ failed, discarded }, { failed: 0, discarded: 0 })
}

function needsRedis ({ code }: Snippet): boolean {
  return code.includes("'redis://")
}

/** Runs a server as a process, sends a request, and SIGTERM right after the reply. */
async function survivesSigterm (t: tap.Test, { file, line, prints }: Snippet): Promise<void> {
  const server = fork(join(__dirname, 'helpers/snippet-process.ts'), [file, String(line)], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
  t.teardown(() => server.kill('SIGKILL'))
  const printed = text(server.stdout!)
  const exited = once(server, 'exit')
  const [{ url, method }] = await Promise.race([once(server, 'message'), exited])
  const { status } = await fetch(url, {
    method, headers: { 'content-type': 'application/json' }, body: JSON.stringify({ email: 'ada@example.com' })
  })
  server.kill('SIGTERM')
  t.equal(status, 200)
  t.strictSame(await exited, [0, null])
  t.strictSame((await printed).trimEnd().split('\n'), prints)
}

/** Runs a snippet with tests as a process. */
async function passes (t: tap.Test, { file, line, code }: Snippet): Promise<void> {
  const child = fork(join(__dirname, 'helpers/snippet-test.ts'), [file, String(line)], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
  t.teardown(() => child.kill('SIGKILL'))
  const printed = text(child.stdout!)
  t.strictSame(await once(child, 'exit'), [0, null])
  t.equal((await printed).match(/^(?:ok \d+ - |✔ )/gm)?.length, code.match(/^(?:t\.)?test\(/gm)?.length, 'each of its tests has passed')
}

function isThere (command: string): boolean {
  const [, script] = /^npm run ([\w:-]+)$/.exec(command) ?? []
  if (script !== undefined) return script in manifest.scripts
  const [, file] = /^(?:bash |npx tap run |node )(\S+)/.exec(command) ?? []
  if (file !== undefined) return existsSync(join(ROOT, file))
  return ['npm ci', 'npm test', 'npm i fastify fastify-background'].includes(command)
}

function anchorsOf (file: string): string[] {
  return [...read(file).matchAll(/^#+ (.*)$/gm)]
    .map(([, heading]) => heading.toLowerCase().replace(/[^\w\- ]/g, '').replace(/ /g, '-'))
}

/** The names of the plugin's options, as it says them when it is given another. */
async function optionNames (): Promise<string[]> {
  const app = Fastify()
  const error: Error = await app.register(background, { unknown: true } as background.BackgroundOptions).then(() => { throw new Error('accepted') }, (error) => error)
  return [...error.message.matchAll(/'(\w+)'/g)].map(([, name]) => name)
}
