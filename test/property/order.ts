import type { EntryRecord, RunRecord } from './records'

/** R1, T3: in the order of acceptance, one at a time. @returns what is wrong with the start of an attempt. */
export function orderFaults (record: RunRecord, entries: readonly EntryRecord[]): string[] {
  const { entry: own, label } = record
  if (own.owner === null) return []
  const others = entries.filter((entry) => entry.owner === own.owner && entry !== own).flatMap(({ runs }) => runs)
  return others.flatMap((other) => {
    if (other.entry.at > own.at) {
      return other.hasStarted ? `R1: ${label} started after ${other.label}, which was accepted later` : []
    }
    return other.isFinal ? [] : `R1: ${label} started before ${other.label} was over, which was accepted earlier`
  })
}

/** R1, in one group. @returns what is wrong with the start of an attempt. */
export function groupFaults (record: RunRecord): string[] {
  const { entry: { runs, concurrency, stops }, label, attempts } = record
  const faults: string[] = []
  const underWay = runs.filter(({ isUnderWay }) => isUnderWay).length
  if (underWay > concurrency) faults.push(`R1: ${underWay} of the group of ${label} are under way`)
  // Those that have started go on, whatever became of the others.
  if (attempts.length > 1) return faults
  const position = runs.indexOf(record)
  for (const [i, other] of runs.entries()) {
    if (i < position && !other.hasStarted && !other.isFinal) faults.push(`R1: ${label} started before ${other.label} of its group`)
    if (i > position && other.hasStarted) faults.push(`R1: ${label} started after ${other.label} of its group`)
    if (stops && stopsGroup(other)) faults.push(`R1: ${label} started, though ${other.label} of its group has failed`)
  }
  return faults
}

/** Whether a run's failure keeps those of its group from starting. */
export function stopsGroup ({ run, hasStarted }: RunRecord): boolean {
  return hasStarted && run.state === 'failed'
}

/** Whether a run of an entry could start, for all that is known, if there were a slot for it. */
export function mayStart (entry: EntryRecord, entries: readonly EntryRecord[]): boolean {
  const { runs, owner, concurrency } = entry
  if (!runs.some(({ run }) => run.state === 'queued')) return false
  if (runs.filter(({ isUnderWay }) => isUnderWay).length >= concurrency) return false
  if (owner === null) return true
  const siblings = entries.filter((other) => other.owner === owner)
  // That its reply has settled is certain only where a run has started.
  return siblings.some(({ runs }) => runs.some(({ hasStarted }) => hasStarted)) &&
    siblings.every(({ at, runs }) => at >= entry.at || runs.every(({ isFinal }) => isFinal))
}
