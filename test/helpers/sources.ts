import { join } from 'node:path'
import { ROOT } from './docs'

const MANIFEST: { exports: Record<string, string | { default: string }> } = require('../../package.json')

/** Where the sources of the package's paths are, as TypeScript's option `paths`: a build may be missing, or older. */
export const SOURCES = Object.fromEntries(Object.entries(MANIFEST.exports).flatMap(([name, file]) => typeof file === 'string'
  ? []
  : [[join('fastify-background', name), [join(ROOT, file.default.replace('dist', 'lib').replace(/\.js$/, '.ts'))]]]))
