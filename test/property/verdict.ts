import type { TaskRun } from '../../lib/index'
import type { Model } from './model'
import type { ReplyRecord, RunRecord, Status } from './records'

/** What must hold at the end, when no run is left unfinished. */
export async function judge (model: Model): Promise<void> {
  for (const record of model.runs) {
    judgeEnd(model, record)
    if (record.run !== undefined && await record.run.finished() !== record.run) {
      model.violation(`${record.label}: finished() resolved with another run`)
    }
  }
  for (const reply of model.replies) {
    judgeConditions(model, reply)
    judgeSize(model, reply)
  }
  judgeReports(model)
  judgeCounts(model)
}

function judgeEnd (model: Model, record: RunRecord): void {
  const { label, run, starts, plan, thrown } = record
  if (starts === 0) {
    if (reasonsOf(model, record).length === 0) model.violation(`T2: ${label} never started, for no reason`)
    if (run !== undefined) judgeStateWithoutStart(model, record, run)
    return
  }
  switch (run!.state) {
    case 'completed':
      if (plan.fails) model.violation(`R3: ${label} threw, and has completed`)
      break
    case 'failed':
      if (run!.error !== thrown) model.violation(`R3: ${label} failed with ${String(run!.error)}`)
      break
    case 'cancelled':
      if (!isAborted(model)) model.violation(`L1: ${label} was cancelled within closeTimeout`)
      break
    default:
      model.violation(`T2: ${label} started, and is ${run!.state}`)
  }
}

/** Why a run may not have started; a condition on the status is looked at for the whole reply. */
function reasonsOf (model: Model, { entry }: RunRecord): string[] {
  const reasons: string[] = []
  if (entry.condition !== 'always') reasons.push('condition')
  if (entry.stops && entry.runs.some(({ starts, run }) => starts > 0 && run!.state === 'failed')) reasons.push('stop')
  if (isAborted(model)) reasons.push('shutdown')
  return reasons
}

function judgeStateWithoutStart (model: Model, { label, entry }: RunRecord, run: TaskRun): void {
  if (run.state === 'discarded' && (entry.condition !== 'throws' || isAborted(model))) return
  if (run.state === 'failed' && entry.condition === 'throws' && run.error === model.whenError) return
  model.violation(`T2: ${label} never started, and is ${run.state}`)
}

/** All conditions of a reply must have been decided by one status, and by one that it may have had (T4). */
function judgeConditions (model: Model, reply: ReplyRecord): void {
  const statuses: Status[] = [...reply.statuses]
  // It was settled by its time-out, or by the end; where a handler gave up, Fastify may or may not have seen in time
  // that the client had left.
  const unsure = reply.plan.handler.reply.kind === 'give up' && reply.reply !== undefined && !reply.isFinished
  if (statuses.length === 0 || unsure || isAborted(model)) statuses.push('none')
  const own = model.runs.filter(({ entry }) => entry.owner === reply)
  const fits = (status: Status): boolean => own.every((record) => conditionFits(model, record, status))
  if (statuses.some(fits)) return
  const outcomes = own.map(({ label, starts, entry }) => `${label} (${entry.condition}) ${starts > 0 ? 'ran' : 'did not run'}`)
  model.violation(`T4: r${reply.index} was decided by none of ${statuses.join(', ')}: ${outcomes.join(', ')}`)
}

function conditionFits (model: Model, record: RunRecord, status: Status): boolean {
  const { condition } = record.entry
  if (condition !== 'success' && condition !== 'error') return true
  const holds = (status !== 'none' && status < 400) === (condition === 'success')
  if (record.starts > 0) return holds
  return !holds || reasonsOf(model, record).length > 1
}

function judgeSize (model: Model, { index, reply }: ReplyRecord): void {
  // Asking a reply for its queue would make one.
  if (!model.runs.some(({ entry }) => entry.owner?.index === index)) return
  const { size } = reply!.background
  if (size !== 0) model.violation(`r${index}: no run is unfinished, size is ${size}`)
}

/** The route's tasks that never started are known by the counts alone. */
function judgeCounts (model: Model): void {
  const unseen = model.runs.filter(({ run }) => run === undefined)
  const throwing = unseen.filter(({ entry }) => entry.condition === 'throws').length
  const { failed } = model.stats
  const known = model.runs.filter(({ run }) => run?.state === 'failed').length
  const certain = !isAborted(model)
  if (certain ? failed !== known + throwing : failed < known || failed > known + throwing) {
    model.violation(`L3: stats() counts ${failed} failed, ${known} have, and the conditions of ${throwing} threw`)
  }
}

function judgeReports (model: Model): void {
  for (const [run, times] of model.reports) {
    if (times !== 1) model.violation(`R3: onTaskError was called ${times} times for ${run.name} ${run.id}`)
  }
  for (const { label, run } of model.runs) {
    if (run?.state === 'failed' && !model.reports.has(run)) model.violation(`R3: onTaskError was not called for ${label}`)
  }
}

/** Shutdown has ended what was under way. */
function isAborted ({ closing, program }: Model): boolean {
  return closing && program.closeTimeout === 0
}
