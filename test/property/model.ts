import type { FastifyInstance } from 'fastify'
import type { BackgroundStats, TaskRun, TaskState } from '../../lib/index'
import type { EntryPlan, Program, RouteTaskPlan, TaskPlan } from './program'
import { EntryRecord, ReplyRecord, RunRecord, type Condition } from './records'

/** Entries that a route's function has returned: accepted a moment later, if its run still counts. */
interface Adoption {
  readonly by: RunRecord
  readonly entries: readonly EntryRecord[]
}

/**
 * The contract, as far as it can be told from outside. It keeps its own books of what was accepted and what has started,
 * and compares them with the plugin's at every event.
 */
export class Model {
  readonly replies: readonly ReplyRecord[]
  readonly trace: string[] = []
  /** What `when` throws where the program says so. */
  readonly whenError = new Error('when')
  closing = false
  readonly #runs: RunRecord[] = []
  readonly #entries: EntryRecord[] = []
  #adoptions: Adoption[] = []
  readonly #reported = new Map<TaskRun, number>()
  readonly #violations: string[] = []
  // Runs that `app.close()` has found at work, or waiting for one that is.
  #atWork: RunRecord[] = []
  #clock = 0

  constructor (readonly program: Program, private readonly app: () => FastifyInstance) {
    this.replies = program.requests.map((plan, index) => new ReplyRecord(index, plan))
  }

  note (line: string): void {
    this.trace.push(line)
  }

  violation (text: string): void {
    this.note(`VIOLATION ${text}`)
    this.#violations.push(text)
  }

  /** Throws what has been found so far. */
  assert (): void {
    if (this.#violations.length > 0) throw new Error([...this.#violations, 'What happened:', ...this.trace].join('\n  '))
  }

  /** A call has accepted these runs. */
  accepted (owner: ReplyRecord | null, label: string, plan: EntryPlan, runs: readonly TaskRun[]): RunRecord[] {
    const entries = this.#record(owner, 'call', label, plan)
    const records = entries.flatMap((entry) => entry.runs)
    records.forEach((record, i) => { record.run = runs[i] })
    if (records.length !== runs.length) this.violation(`${label}: ${records.length} tasks made ${runs.length} runs`)
    this.check()
    return records
  }

  /** The route's tasks are accepted with the first look at `reply.background`, or in `onRequest`. */
  acceptedOfRoute (owner: ReplyRecord, plans: readonly RouteTaskPlan[]): void {
    for (const [i, plan] of plans.entries()) {
      const entry = plan.kind === 'group' ? plan : { kind: 'task', task: plan.task } as const
      owner.routeEntries.push(...this.#record(owner, 'route', `r${owner.index}/route${i}`, entry))
    }
  }

  /** A route's function returns tasks, which are accepted a moment later. @returns them, in order. */
  adopting (by: RunRecord, plan: EntryPlan): RunRecord[] {
    const entries = this.#make(by.entry.owner, 'call', `${by.label}/returned`, plan)
    for (const entry of entries) entry.to = Infinity
    this.#adoptions.push({ by, entries })
    return entries.flatMap((entry) => entry.runs)
  }

  /** A call was refused. */
  refused (label: string, error: unknown): void {
    this.note(`${label} refused`)
    const { code } = error as { code?: unknown }
    if (code !== 'FST_ERR_BACKGROUND_CLOSED') this.violation(`${label}: addTask threw ${String(error)}`)
    else if (!this.closing) this.violation(`L2: ${label} was refused, though nobody closes the app`)
  }

  /** A run's function has been called. */
  started (record: RunRecord, id: string): void {
    this.note(`${record.label} starts`)
    record.starts++
    record.run ??= this.app().background.get(id)
    if (record.run === undefined) return this.violation(`get(): ${record.label} is at work, and not known by its id`)
    this.#adoptions = this.#adoptions.filter(({ entries }) => !entries.includes(record.entry) || !this.#adopted(entries))
    if (record.run.id !== id) this.violation(`${record.label} has another id as its context`)
    if (record.starts > 1) this.violation(`T2: ${record.label} started twice`)
    if (record.barred !== undefined) this.violation(`${record.label} started, though ${record.barred}`)
    if (record.entry.condition === 'never') this.violation(`T4: ${record.label} started, its condition is false`)
    this.#checkTrigger(record)
    this.#checkOrder(record)
    this.#checkGroup(record)
    this.check()
  }

  reported (error: unknown, run: TaskRun): void {
    this.#reported.set(run, (this.#reported.get(run) ?? 0) + 1)
    if (run.state !== 'failed') this.violation(`R3: onTaskError was called for a run that is ${run.state}`)
    if (run.error !== error) this.violation('R3: onTaskError got another error than the run has')
  }

  /** L3, against the model's own books; and that every run takes its states in a legal order. */
  check (): void {
    for (const record of this.#runs) {
      const fault = record.look()
      if (fault !== undefined) this.violation(`${record.label} ${fault}`)
    }
    const pending = this.#settleAdoptions()
    const { stats } = this
    const { accepted, queued, active, retrying, completed, failed, cancelled, discarded, stored } = stats
    const text = (): string => JSON.stringify(stats)
    if (accepted !== queued + active + retrying + completed + failed + cancelled + discarded + stored) {
      this.violation(`L3: the states do not add up: ${text()}`)
    }
    const count = (state: TaskState): number => this.#runs.filter(({ run }) => run?.state === state).length
    for (const state of ['active', 'completed', 'cancelled'] as const) {
      if (stats[state] !== count(state)) this.violation(`L3: ${count(state)} runs are ${state}, stats() says ${text()}`)
    }
    // Runs that have not started, and may be doubtful, are only known as a sum.
    const unseen = this.#runs.filter(({ run }) => run === undefined).length
    const rest = queued + failed + discarded - count('queued') - count('failed') - count('discarded') - unseen
    if (rest < 0 || rest > pending) {
      this.violation(`L3: ${this.#runs.length} runs were accepted (and up to ${pending} more), stats() says ${text()}`)
    }
  }

  /** `app.close()` is called. */
  close (): void {
    if (this.closing) return
    this.closing = true
    const begun = new Set(this.#runs.filter(({ starts }) => starts > 0).map(({ entry }) => entry.owner))
    this.#atWork = this.#runs.filter(({ run, entry }) => run !== undefined && (entry.owner === null || begun.has(entry.owner)))
  }

  /** The `onClose` hooks of other plugins run. */
  pluginsClose (): void {
    this.note('plugins close')
    for (const { isFinal, label } of this.#atWork) {
      if (!isFinal) this.violation(`L1: plugins close before ${label} is over, which was accepted before close()`)
    }
  }

  get stats (): BackgroundStats {
    return this.app().background.stats()
  }

  get unfinished (): number {
    const { queued, active } = this.stats
    return queued + active
  }

  get runs (): readonly RunRecord[] {
    return this.#runs
  }

  /** How often `onTaskError` was called, for each run. */
  get reports (): ReadonlyMap<TaskRun, number> {
    return this.#reported
  }

  #record (owner: ReplyRecord | null, from: 'route' | 'call', label: string, plan: EntryPlan | RouteTaskPlan): EntryRecord[] {
    const entries = this.#make(owner, from, label, plan as EntryPlan)
    for (const entry of entries) {
      entry.to = entry.from
      this.#add(entry)
    }
    return entries
  }

  #add (entry: EntryRecord): void {
    this.#entries.push(entry)
    this.#runs.push(...entry.runs)
    for (const { label } of entry.runs) this.note(`${label} accepted`)
  }

  #make (owner: ReplyRecord | null, from: 'route' | 'call', label: string, plan: EntryPlan): EntryRecord[] {
    const condition = this.#condition(owner, from)
    const batch = ++this.#clock
    const make = (label: string, tasks: readonly TaskPlan[], concurrency = 1, stops = false): EntryRecord => {
      const entry = new EntryRecord(owner, condition, concurrency, stops, batch, ++this.#clock)
      for (const [i, task] of tasks.entries()) {
        entry.runs.push(new RunRecord(plan.kind === 'group' ? `${label}.${i}` : label, task, entry))
      }
      return entry
    }
    if (plan.kind === 'task') return [make(label, [plan.task])]
    if (plan.kind === 'group') return [make(label, plan.tasks, plan.concurrency, plan.onFailure === 'stop')]
    return plan.tasks.map((task, i) => make(`${label}.${i}`, [task]))
  }

  #condition (owner: ReplyRecord | null, from: 'route' | 'call'): Condition {
    const { when } = this.program
    if (owner === null) return 'always'
    if (when === 'default') return from === 'route' ? 'success' : 'always'
    if (when === 'odd') return owner.index % 2 === 1 ? 'always' : 'never'
    return when
  }

  /** @returns how many runs may have been accepted, or not. */
  #settleAdoptions (): number {
    this.#adoptions = this.#adoptions.filter(({ by, entries }) => {
      if (by.run!.state === 'completed') return !this.#adopted(entries)
      // Refused: the app has closed.
      if (by.run!.state === 'failed') return false
      return true
    })
    return this.#adoptions.flatMap(({ entries }) => entries).reduce((sum, entry) => sum + entry.runs.length, 0)
  }

  #adopted (entries: readonly EntryRecord[]): true {
    for (const entry of entries) {
      entry.to = ++this.#clock
      this.#add(entry)
    }
    return true
  }

  /** T1, by what the program has let happen, and by the response itself. */
  #checkTrigger (record: RunRecord): void {
    const { owner } = record.entry
    if (owner === null || owner.isGone) return
    if (!owner.complete) this.violation(`T1: ${record.label} started before the reply was complete`)
    if (!owner.isFinished) this.violation(`T1: ${record.label} started before the response was finished`)
  }

  /** R1 and T3: in the order of acceptance, one at a time. */
  #checkOrder (record: RunRecord): void {
    const own = record.entry
    if (own.owner === null) return
    for (const entry of this.#entries) {
      if (entry.owner !== own.owner || entry === own) continue
      for (const other of entry.runs) {
        if (entry.isBefore(own)) this.#mustBeOver(other, record)
        else if (own.isBefore(entry) && other.starts > 0) {
          this.violation(`R1: ${record.label} started after ${other.label}, which was accepted later`)
        } else if (other.starts > 0 && !other.isFinal) {
          this.violation(`R1: ${record.label} started while ${other.label} is at work`)
        }
      }
    }
  }

  #checkGroup (record: RunRecord): void {
    const { runs, concurrency, stops } = record.entry
    const position = runs.indexOf(record)
    for (const [i, other] of runs.entries()) {
      if (i < position && other.starts === 0) this.#mustBeOver(other, record)
      if (i > position && other.starts > 0) this.violation(`R1: ${record.label} started after ${other.label} of its group`)
      if (stops && other.starts > 0 && other.run!.state === 'failed') {
        this.violation(`${record.label} started, though ${other.label} of its group has failed`)
      }
    }
    const active = runs.filter((run) => run.starts > 0 && !run.isFinal).length
    if (active > concurrency) this.violation(`R1: ${active} of the group of ${record.label} are at work`)
  }

  #mustBeOver (other: RunRecord, record: RunRecord): void {
    if (other.starts === 0) other.barred = `${record.label}, accepted later, has started`
    if (other.starts > 0 ? !other.isFinal : other.run !== undefined && !other.isFinal) {
      this.violation(`R1: ${record.label} started before ${other.label} was over, which was accepted earlier`)
    }
  }
}
