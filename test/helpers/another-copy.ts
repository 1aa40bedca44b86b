import type background from '../../lib/index'

/** The package, loaded once more: as a library with a copy of its own has it. */
export function anotherCopy (): typeof background {
  const entry = require.resolve('../../lib/index')
  const own = Object.keys(require.cache).filter((file) => file.startsWith(entry.slice(0, entry.lastIndexOf('index'))))
  const kept = own.map((file) => [file, require.cache[file]] as const)
  for (const file of own) delete require.cache[file]
  try {
    return require('../../lib/index') as typeof background
  } finally {
    for (const [file, module] of kept) require.cache[file] = module
  }
}
