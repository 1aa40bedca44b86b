import neostandard from 'neostandard'

// The core: below the plugin, it knows nothing of Fastify but types, and nothing of what connects it.
const core = ['lib/*.ts']
const door = ['lib/index.ts', 'lib/plugin.ts']

export default [
  { ignores: ['dist/', '.tap/', 'coverage/'] },
  ...neostandard({ ts: true }),
  {
    files: core,
    ignores: door,
    rules: {
      '@typescript-eslint/no-restricted-imports': ['error', {
        paths: [
          { name: 'fastify', allowTypeImports: true, message: 'The core takes types of Fastify, never a value.' },
          { name: 'fastify-plugin', message: 'Only plugin.ts is a plugin.' }
        ],
        patterns: [
          { group: ['./plugin', './index'], message: 'The core does not know what is above it.' },
          { group: ['./*/*'], allowTypeImports: true, message: 'The core takes the types of a wing, never a value.' }
        ]
      }]
    }
  },
  {
    files: ['lib/*/**/*.ts'],
    rules: {
      '@typescript-eslint/no-restricted-imports': ['error', {
        patterns: [
          { group: ['../plugin', '../index'], message: 'A wing stands on the core alone.' },
          { group: ['../*/*'], allowTypeImports: true, message: 'A wing takes the types of another, never a value.' }
        ]
      }]
    }
  },
  {
    files: ['lib/**/*.ts'],
    // index.ts merges a namespace of types with the plugin, the only shape that `export =` allows.
    rules: { '@typescript-eslint/no-redeclare': 'off', complexity: ['error', 12] }
  }
]
