import { ValueType, type Meter, type ObservableResult } from '@opentelemetry/api'
import type { AppBackground } from '../types'
import { STATE } from './attributes'

const STATES = ['queued', 'active', 'retrying'] as const

// A meter takes one value of each instrument: where a process has several applications, their sum.
const observed = new WeakMap<Meter, Set<AppBackground>>()

/**
 * Has the unfinished runs of an application counted whenever somebody collects metrics; else it costs nothing.
 *
 * @returns what ends it.
 */
export function observePending (meter: Meter, background: AppBackground): () => void {
  const applications = observed.get(meter) ?? observe(meter)
  applications.add(background)
  return () => { applications.delete(background) }
}

function observe (meter: Meter): Set<AppBackground> {
  const applications = new Set<AppBackground>()
  observed.set(meter, applications)
  meter.createObservableUpDownCounter('fastify.background.pending', {
    unit: '{run}', valueType: ValueType.INT, description: 'Runs accepted and not finished, by state'
  }).addCallback((result) => collect(applications, result))
  return applications
}

function collect (applications: ReadonlySet<AppBackground>, result: ObservableResult): void {
  const stats = [...applications].map((background) => background.stats())
  for (const state of STATES) result.observe(stats.reduce((sum, each) => sum + each[state], 0), { [STATE]: state })
}
