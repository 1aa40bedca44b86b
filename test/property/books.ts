import type { TaskRun } from '../../lib/index'
import type { EntryPlan, Program, RouteTaskPlan, TaskPlan } from './program'
import { EntryRecord, RunRecord, type AttemptRecord, type Condition, type ReplyRecord } from './records'

/** Where tasks are added, and by what. */
export interface Origin {
  /** `null` outside a request. */
  readonly owner: ReplyRecord | null
  readonly from: 'route' | 'call'
  readonly label: string
  /** What the tasks go by, if it is not `label`. */
  readonly name?: string
  /** The attempt that returned them. */
  readonly by?: AttemptRecord
}

/** What was offered to the plugin, and what it has accepted, in this order. */
export class Books {
  readonly runs: RunRecord[] = []
  readonly entries: EntryRecord[] = []
  readonly #program: Program
  readonly #byRun = new Map<TaskRun, RunRecord>()
  // By the name of the task: it tells what is accepted.
  readonly #offered = new Map<string, RunRecord>()

  constructor (program: Program) {
    this.#program = program
  }

  offer ({ owner, from, label, name = label, by }: Origin, plan: EntryPlan | RouteTaskPlan): RunRecord[] {
    const condition = this.#condition(owner, from)
    const { policy } = this.#program
    const make = (suffix: string, task: TaskPlan, entry: EntryRecord): RunRecord => {
      const record = new RunRecord(label + suffix, task, { ...policy, ...task.policy }, entry)
      entry.runs.push(record)
      this.#offered.set(name + suffix, record)
      return record
    }
    const alone = (): EntryRecord => new EntryRecord(owner, condition, 1, false, by)
    if ('task' in plan) return [make('', plan.task, alone())]
    const group = plan.kind === 'group'
      ? new EntryRecord(owner, condition, plan.concurrency, plan.onFailure === 'stop', by)
      : undefined
    return plan.tasks.map((task, i) => make(`.${i}`, task, group ?? alone()))
  }

  /** @returns `undefined` for what was not offered. */
  accept (run: TaskRun): RunRecord | undefined {
    const record = this.#offered.get(run.name)
    if (record === undefined) return undefined
    this.#offered.delete(run.name)
    record.run = run
    this.#byRun.set(run, record)
    this.runs.push(record)
    const { entry } = record
    if (entry.at === 0) entry.at = this.entries.push(entry)
    return record
  }

  find (run: TaskRun | undefined): RunRecord | undefined {
    return run && this.#byRun.get(run)
  }

  get unfinished (): number {
    return this.runs.filter(({ isFinal }) => !isFinal).length
  }

  #condition (owner: ReplyRecord | null, from: 'route' | 'call'): Condition {
    const { when } = this.#program
    if (owner === null) return 'always'
    if (when === 'default') return from === 'route' ? 'success' : 'always'
    if (when === 'odd') return owner.index % 2 === 1 ? 'always' : 'never'
    return when
  }
}
