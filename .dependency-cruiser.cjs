'use strict'

// The way of the imports, from the door to the ground: see docs/design-notes.md.
module.exports = {
  forbidden: [
    { name: 'status-stands-on-the-core-alone', severity: 'error', from: { path: '^lib/status/' }, to: { path: '^lib/(?!status/)[^/]+/|^lib/(index|plugin)[.]ts' } },
    { name: 'nothing-stands-on-status', severity: 'error', from: { pathNot: '^lib/status/' }, to: { path: '^lib/status/' } },
    // Of the engines it takes types, and no value.
    { name: 'dashboard-stands-on-the-core-alone', severity: 'error', from: { path: '^lib/dashboard/' }, to: { path: '^lib/(?!dashboard/)[^/]+/|^lib/(index|plugin)[.]ts|^dashboard/', dependencyTypesNot: ['type-only'] } },
    { name: 'nothing-stands-on-dashboard', severity: 'error', from: { pathNot: '^lib/dashboard/' }, to: { path: '^lib/dashboard/' } },
    { name: 'no-circle', severity: 'error', from: {}, to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } } }
  ],
  options: { tsPreCompilationDeps: 'specify', tsConfig: { fileName: 'tsconfig.json' }, doNotFollow: { path: 'node_modules' } }
}
