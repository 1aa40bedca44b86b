import type { FastifyInstance } from 'fastify'
import { BackgroundTask, BackgroundTasks, type RouteBackground, type TaskContext, type TaskFunction } from '../../lib/index'
import type { Gates } from './gates'
import type { Model } from './model'
import type { AddPlan, EntryPlan, RouteTaskPlan, TaskPlan } from './program'
import type { ReplyRecord, RunRecord } from './records'

type Find = (context: TaskContext) => RunRecord

/** Makes functions of the plans of tasks, which report to the model what becomes of them. */
export class Tasks {
  readonly #model: Model
  readonly #gates: Gates
  readonly #app: () => FastifyInstance

  constructor (model: Model, gates: Gates, app: () => FastifyInstance) {
    this.#model = model
    this.#gates = gates
    this.#app = app
  }

  /** Calls `addTask` or `addTasks`, of a reply or of the app. */
  add (owner: ReplyRecord | null, label: string, { to, entry }: AddPlan): void {
    const target = to === 'app' ? null : owner
    let records: readonly RunRecord[] = []
    const functions = plansOf(entry).map((plan, i) => this.#function(plan, () => records[i]))
    try {
      const background = target === null ? this.#app().background : target.reply!.background
      const runs = entry.kind === 'task' ? [background.addTask(functions[0])] : background.addTasks(toEntry(entry, functions))
      records = this.#model.accepted(target, label, entry, runs)
    } catch (error) {
      this.#model.refused(label, error)
    }
  }

  addAll (owner: ReplyRecord | null, by: string, plans: readonly AddPlan[]): void {
    for (const [i, plan] of plans.entries()) this.add(owner, `${by}/${i}`, plan)
  }

  /** What the option `background` of a route takes. The tasks serve every request. */
  ofRoute (plans: readonly RouteTaskPlan[]): RouteBackground | undefined {
    if (plans.length === 0) return undefined
    return plans.map((plan, i) => {
      const find = (j: number): Find => (context) => this.#replyOf(context).routeEntries[i].runs[j]
      if (plan.kind === 'group') return toGroup(plan, plan.tasks.map((task, j) => this.#function(task, find(j))))
      if (plan.kind === 'task') return new BackgroundTask(this.#function(plan.task, find(0)))
      return this.#function(plan.task, find(0), plan.returns)
    })
  }

  /** A task that a route declares knows its request by the logger alone. */
  #replyOf (context: TaskContext): ReplyRecord {
    const { reqId } = (context.log as unknown as { bindings: () => { reqId: string } }).bindings()
    return this.#model.replies[Number(reqId)]
  }

  #function (plan: TaskPlan, find: Find, returns: EntryPlan | null = null): TaskFunction<[]> {
    const tasks = this
    return function task (this: TaskContext): unknown {
      const record = find(this)
      tasks.#model.started(record, this.id)
      tasks.addAll(record.entry.owner, record.label, plan.adds)
      if (plan.style === 'sync') return tasks.#end(record, returns)
      const ended = tasks.#gates.pass(record.label).then(() => tasks.#end(record, returns))
      // A thenable need not be a promise.
      return plan.style === 'async' ? ended : { then: ended.then.bind(ended) }
    }
  }

  #end (record: RunRecord, returns: EntryPlan | null): unknown {
    const { label, plan } = record
    this.addAll(record.entry.owner, `${label}/later`, plan.addsLater)
    this.#model.check()
    this.#model.note(`${label} ends`)
    if (plan.fails) throw (record.thrown = new Error(label))
    if (returns === null) return label
    const records = this.#model.adopting(record, returns)
    const functions = plansOf(returns).map((task, i) => this.#function(task, () => records[i]))
    if (returns.kind === 'task') return new BackgroundTask(functions[0])
    return toEntry(returns, functions.map((fn) => new BackgroundTask(fn)))
  }
}

function plansOf (entry: EntryPlan): readonly TaskPlan[] {
  return entry.kind === 'task' ? [entry.task] : entry.tasks
}

type Members = ReadonlyArray<TaskFunction<[]> | BackgroundTask>

function toEntry (plan: EntryPlan, tasks: Members): Members | BackgroundTasks {
  return plan.kind === 'group' ? toGroup(plan, tasks) : tasks
}

function toGroup ({ concurrency, onFailure }: EntryPlan & { kind: 'group' }, tasks: Members): BackgroundTasks {
  return new BackgroundTasks(tasks, { concurrency, onFailure })
}
