import { failsWith, hasCode, isRetried } from './attempts'
import type { Model } from './model'
import { stopsGroup } from './order'
import type { ReplyRecord, RunRecord, Status } from './records'

/** What must hold at the end, when no run is left unfinished. */
export async function judge (model: Model): Promise<void> {
  for (const record of model.runs) {
    judgeEnd(model, record)
    if (await record.run.finished() !== record.run) model.violation(`${record.label}: finished() resolved with another run`)
  }
  for (const reply of model.replies) {
    judgeConditions(model, reply)
    judgeSize(model, reply)
  }
  judgeReports(model)
}

/** T2: a run has come to the state that its last attempt led to, or what kept it from starting. */
function judgeEnd (model: Model, record: RunRecord): void {
  const { label, run: { state, error, attempt }, attempts } = record
  if (attempt !== attempts.length) model.violation(`T2: ${label} started ${attempts.length} times, its attempt is ${attempt}`)
  if (!endFits(model, record)) model.violation(`T2: ${label} started ${attempts.length} times, and is ${state}: ${String(error)}`)
}

function endFits (model: Model, record: RunRecord): boolean {
  const { run: { state, error, result }, entry, attempts, cancelled } = record
  const last = attempts.at(-1)
  switch (state) {
    case 'completed':
      return last?.outcome !== undefined && 'result' in last.outcome && last.outcome.result === result &&
        last.returned.every(({ isAccepted }) => isAccepted)
    case 'failed':
      if (last === undefined) return entry.condition === 'throws' && error === model.whenError
      return failsWith(last, error, model) && !isRetried(last, error)
    case 'cancelled':
      if (cancelled !== undefined) return error === cancelled.reason
      return last !== undefined && model.isAborted && hasCode(error, 'CLOSED')
    case 'discarded':
      return last === undefined && reasonsOf(model, record).length > 0 &&
        (error === undefined || (model.isAborted && hasCode(error, 'CLOSED')))
    default:
      return false
  }
}

/** Why a run may have been discarded; a condition on the status is looked at for the whole reply. */
function reasonsOf (model: Model, { entry }: RunRecord): string[] {
  const reasons: string[] = []
  if (entry.condition !== 'always' && entry.condition !== 'throws') reasons.push('condition')
  if (entry.stops && entry.runs.some(stopsGroup)) reasons.push('stop')
  if (model.isAborted) reasons.push('shutdown')
  return reasons
}

/** All conditions of a reply must have been decided by one status, and by one that it may have had (T4). */
function judgeConditions (model: Model, reply: ReplyRecord): void {
  const statuses: Status[] = [...reply.statuses]
  // It was settled by its time-out, or by the end; where a handler gave up, Fastify may or may not have seen in time
  // that the client had left.
  const unsure = reply.plan.handler.reply.kind === 'give up' && reply.reply !== undefined && !reply.isFinished
  if (statuses.length === 0 || unsure || model.isAborted) statuses.push('none')
  const own = model.runs.filter(({ entry }) => entry.owner === reply)
  const fits = (status: Status): boolean => own.every((record) => conditionFits(model, record, status))
  if (statuses.some(fits)) return
  const outcomes = own.map(({ label, run, entry }) => `${label} (${entry.condition}) is ${run.state}`)
  model.violation(`T4: r${reply.index} was decided by none of ${statuses.join(', ')}: ${outcomes.join(', ')}`)
}

function conditionFits (model: Model, record: RunRecord, status: Status): boolean {
  const { entry: { condition }, hasStarted, run } = record
  if (condition !== 'success' && condition !== 'error') return true
  const holds = (status !== 'none' && status < 400) === (condition === 'success')
  if (hasStarted) return holds
  return run.state === 'cancelled' || !holds || reasonsOf(model, record).length > 1
}

function judgeSize (model: Model, reply: ReplyRecord): void {
  // Asking a reply for its queue would make one.
  if (!model.runs.some(({ entry }) => entry.owner === reply)) return
  const { size } = reply.reply!.background
  if (size !== 0) model.violation(`r${reply.index}: no run is unfinished, size is ${size}`)
}

function judgeReports (model: Model): void {
  for (const [run, times] of model.reports) {
    if (times !== 1) model.violation(`R3: onTaskError was called ${times} times for ${run.name} ${run.id}`)
  }
  for (const { label, run } of model.runs) {
    if (run.state === 'failed' && !model.reports.has(run)) model.violation(`R3: onTaskError was not called for ${label}`)
  }
}
