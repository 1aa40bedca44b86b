'use strict'

// The way of the imports, from the door to the ground: see docs/design-notes.md.
module.exports = {
  forbidden: [
    { name: 'status-stands-on-the-core-alone', severity: 'error', from: { path: '^lib/status/' }, to: { path: '^lib/(?!status/)[^/]+/|^lib/(index|plugin)[.]ts' } },
    { name: 'nothing-stands-on-status', severity: 'error', from: { pathNot: '^lib/status/' }, to: { path: '^lib/status/' } },
    { name: 'no-circle', severity: 'error', from: {}, to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } } }
  ],
  options: { tsPreCompilationDeps: 'specify', tsConfig: { fileName: 'tsconfig.json' }, doNotFollow: { path: 'node_modules' } }
}
