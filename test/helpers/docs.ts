// Reads the documents of the project: their code blocks, links and headings.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export const ROOT = join(__dirname, '..', '..')

/** A fenced block of a document. */
export interface Block {
  /** The document's path from the root of the project. */
  file: string
  /** Where its first line of code is, from 1. */
  line: number
  language: string
  /** What stands behind the language. */
  info: string
  code: string
}

/** A block that can be run, with the beginning that it shares with others of its document. */
export interface Snippet extends Block {
  source: string
  /** What its document has of files, by their names. */
  files: ReadonlyMap<string, string>
  /** The lines that it says it prints. */
  prints: string[] | undefined
}

export function documents (): string[] {
  return [
    'README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md',
    ...readdirSync(join(ROOT, 'docs')).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`)
  ]
}

export function read (file: string): string {
  return readFileSync(join(ROOT, file), 'utf8')
}

export function blocksOf (file: string): Block[] {
  const blocks: Block[] = []
  let open: Block | undefined
  for (const [index, line] of read(file).split('\n').entries()) {
    const fence = /^```(\S*) *(.*)$/.exec(line)
    if (open === undefined) {
      if (fence !== null) open = { file, line: index + 2, language: fence[1], info: fence[2], code: '' }
    } else if (fence === null) {
      open.code += `${line}\n`
    } else {
      blocks.push(open)
      open = undefined
    }
  }
  if (open !== undefined) throw new Error(`${file}:${open.line}: a block is not closed`)
  return blocks
}

/**
 * The blocks of JavaScript and TypeScript. One that does not import Fastify continues the last one before it that is
 * marked as `beginning`.
 */
export function snippetsOf (file: string): Snippet[] {
  const snippets: Snippet[] = []
  const files = filesOf(file)
  let beginning: Block | undefined
  for (const block of blocksOf(file).filter(({ language, info }) => (language === 'js' || language === 'ts') && !files.has(info))) {
    const complete = /from 'fastify'|require\('fastify'\)/.test(block.code)
    if (!complete && beginning?.language !== block.language) {
      throw new Error(`${file}:${block.line}: neither a program of its own nor behind a beginning in ${block.language}`)
    }
    const source = complete ? block.code : `${beginning!.code}\n${block.code}`
    snippets.push({ ...block, source, files, prints: printsOf(block.code) })
    if (block.info === 'beginning') beginning = block
  }
  return snippets
}

/** The blocks that are marked with the name of a file: what snippets import, or give to threads. */
export function filesOf (file: string): ReadonlyMap<string, string> {
  return new Map(blocksOf(file).filter(({ info }) => /^[\w-]+\.[cm]?js$/.test(info)).map(({ info, code }) => [info, code]))
}

/** The lines of a comment that starts with "Prints", without what indents them. */
function printsOf (code: string): string[] | undefined {
  const comment = /^\/\/ Prints.*\n((?:\/\/ {3}.*\n)+)/m.exec(code)
  if (comment === null) return undefined
  return comment[1].trimEnd().split('\n').map((line) => line.replace('//   ', ''))
}
