// Runs the code of the documents: as it stands there, but for a free port, a silent log, no limit to the time that a plugin
// takes to load, places of their own for engines, and the library from its source.
import { writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { format } from 'node:util'
import * as fastify from 'fastify'
import type { FastifyInstance, FastifyServerOptions, HTTPMethods, RouteOptions } from 'fastify'
import ts from 'typescript'
import * as context from '../../lib/context'
import { bullmq, type BullmqOptions } from '../../lib/engines/bullmq'
import { journal, type JournalOptions } from '../../lib/engines/journal'
import background from '../../lib/index'
import status from '../../lib/status/status'
import { dashboard } from './dashboard'
import { telemetry } from '../../lib/otel/otel'
import * as threads from '../../lib/threads/threads'
import { ROOT, type Snippet } from './docs'
import './plain-threads'
import { SOURCES } from './sources'

export interface Running {
  /** The applications that it has made. */
  apps: FastifyInstance[]
  /** The routes that it has declared, but for those that Fastify adds for HEAD. */
  routes: Array<{ app: FastifyInstance, method: HTTPMethods, url: string }>
  printed: string[]
}

// What every request of a route brings, so that a snippet may use it.
const BODY = { email: 'ada@example.com' }
const ID = '42'

const requireFromRoot = createRequire(join(ROOT, 'package.json'))
const AsyncFunction = Object.getPrototypeOf(async function () {}).constructor as FunctionConstructor

/** Where a snippet's engines keep their tasks. */
export interface Places {
  directory: string
  redis?: string | undefined
}

/** Runs a snippet to its end. What it leaves open is for the caller to close. */
export async function run (snippet: Snippet, places: Places, print: (line: string) => void = () => {}): Promise<Running> {
  const running: Running = { apps: [], routes: [], printed: [] }
  const console = {
    log (...values: unknown[]) {
      running.printed.push(...format(...values).split('\n'))
      print(format(...values))
    }
  }
  const modules: Record<string, unknown> = {
    fastify: watched(running),
    'fastify-background': background,
    'fastify-background/context': context,
    'fastify-background/status': status,
    'fastify-background/dashboard': dashboard,
    'fastify-background/otel': { telemetry },
    'fastify-background/threads': threads,
    'fastify-background/journal': {
      journal: (options: JournalOptions) => journal({ ...options, location: join(places.directory, options.location) })
    },
    'fastify-background/bullmq': { bullmq: (options: BullmqOptions) => bullmq({ ...options, connection: places.redis! }) }
  }
  for (const [name, code] of snippet.files) writeFileSync(join(places.directory, name), code)
  const load = (name: string): unknown => modules[name] ?? requireFromRoot(name)
  const program = new AsyncFunction('exports', 'require', 'console', transpile(snippet, pathToFileURL(join(places.directory, 'app.mjs')).href))
  await (program({}, load, console) as Promise<void>)
  for (const app of running.apps) await app.ready()
  return running
}

/** Sends a request to each route, waiting in between for the tasks. */
export async function request (running: Running): Promise<number[]> {
  const statuses: number[] = []
  for (const { app, method, url } of running.routes) {
    const payload = method === 'GET' ? undefined : BODY
    const response = await app.inject({ method, url: url.replace(/:\w+/g, ID), payload })
    statuses.push(response.statusCode)
    await app.background?.idle()
  }
  return statuses
}

/** What TypeScript says of snippets in TypeScript, in its strictest, each as a module of a project that uses the library. */
export function typeErrors (snippets: Snippet[]): string[] {
  const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, ROOT)
  Object.assign(options, {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    paths: SOURCES,
    noUnusedLocals: false,
    noUnusedParameters: false,
    skipLibCheck: true
  })
  const sources = new Map(snippets.map((snippet) => [join(ROOT, `${snippet.file}-${snippet.line}.mts`), snippet.source]))
  const host = ts.createCompilerHost(options)
  const { fileExists, readFile, getSourceFile } = host
  host.fileExists = (name) => sources.has(name) || fileExists(name)
  host.readFile = (name) => sources.get(name) ?? readFile(name)
  host.getSourceFile = (name, target, ...rest) => sources.has(name)
    ? ts.createSourceFile(name, sources.get(name)!, target)
    : getSourceFile(name, target, ...rest)
  const program = ts.createProgram([...sources.keys()], options, host)
  return ts.getPreEmitDiagnostics(program).map((diagnostic) => ts.formatDiagnostic(diagnostic, host))
}

function transpile ({ file, line, language, source }: Snippet, url: string): string {
  const { outputText, diagnostics } = ts.transpileModule(source.replaceAll('import.meta.url', `'${url}'`), {
    fileName: `snippet.${language}`,
    reportDiagnostics: true,
    compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022, esModuleInterop: true, allowJs: true }
  })
  if (diagnostics !== undefined && diagnostics.length > 0) {
    throw new SyntaxError(`${file}:${line}: ${ts.flattenDiagnosticMessageText(diagnostics[0].messageText, '\n')}`)
  }
  return `${outputText}\n//# sourceURL=${file}:${line}`
}

/** Fastify, which keeps track of what is made of it. */
function watched ({ apps, routes }: Running): unknown {
  function create (options: FastifyServerOptions = {}): FastifyInstance {
    // On a loaded machine, a thread takes its time to start.
    const app = fastify.fastify({ ...options, logger: false, pluginTimeout: 0 })
    apps.push(app)
    app.addHook('onRoute', ({ method, url }: RouteOptions) => {
      for (const each of [method].flat()) if (each !== 'HEAD') routes.push({ app, method: each, url })
    })
    const listen = app.listen.bind(app)
    app.listen = (async (options: object) => await listen({ ...options, port: 0 })) as typeof app.listen
    return app
  }
  return Object.assign(create, { default: create, fastify: create, __esModule: true })
}
