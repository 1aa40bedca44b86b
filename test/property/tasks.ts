import type { FastifyInstance } from 'fastify'
import background, { type RouteBackground, type TaskContext, type TaskFunction } from '../../lib/index'
import type { Gates } from './gates'
import type { Model } from './model'
import { PLAIN_TASK, type AddPlan, type Ending, type EntryPlan, type RouteTaskPlan, type TaskPlan } from './program'
import type { AttemptRecord, ReplyRecord, RunRecord } from './records'

const { BackgroundTask, BackgroundTasks, defineTask, RetryAfterError, UnrecoverableError } = background
type Group = InstanceType<typeof BackgroundTasks>

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

  /** Calls `addTask` or `addTasks`, of a reply or of the app. @returns what the call threw, if it did. */
  add (owner: ReplyRecord | null, label: string, { to, entry }: AddPlan): unknown {
    const target = to === 'app' ? null : owner
    const offer = this.#model.offer(target, label, entry)
    const functions = this.#functionsOf(offer.records)
    let runs
    try {
      const background = target === null ? this.#app().background : target.reply!.background
      runs = entry.kind === 'task' ? [background.addTask(functions[0])] : background.addTasks(toEntry(entry, functions))
    } catch (error) {
      this.#model.refused(offer, error)
      return error
    }
    this.#model.accepted(offer, runs)
    return undefined
  }

  /** Goes on where a call throws. */
  addAll (owner: ReplyRecord | null, by: string, plans: readonly AddPlan[]): void {
    for (const [i, plan] of plans.entries()) this.add(owner, `${by}/${i}`, plan)
  }

  /** What the option `background` of a route takes. The tasks serve every request. */
  ofRoute (route: number, plans: readonly RouteTaskPlan[]): RouteBackground | undefined {
    if (plans.length === 0) return undefined
    return plans.map((plan, i) => {
      const name = `route${route}/${i}`
      if (plan.kind === 'group') return toGroup(plan, plan.tasks.map((task, j) => this.#function(`${name}.${j}`, task)))
      if (plan.kind === 'task') return new BackgroundTask(this.#function(name, plan.task))
      return this.#function(name, plan.task, plan.returns)
    })
  }

  #functionsOf (records: readonly RunRecord[]): Array<TaskFunction<[]>> {
    return records.map(({ label, plan }) => this.#function(label, plan))
  }

  #function (name: string, plan: TaskPlan, returns: EntryPlan | null = null): TaskFunction<[]> {
    const tasks = this
    function task (this: TaskContext): unknown {
      return tasks.#run(this, plan, returns)
    }
    if (plan.policy === null) return Object.defineProperty(task, 'name', { value: name })
    const { delay, jitter, ...policy } = plan.policy
    return defineTask(task, { name, ...policy, backoff: { delay, jitter } })
  }

  #run (context: TaskContext, plan: TaskPlan, returns: EntryPlan | null): unknown {
    const attempt = this.#model.started(context)
    if (attempt === undefined) return undefined
    const { number, record } = attempt
    if (number === 1) {
      this.addAll(record.entry.owner, record.label, plan.adds)
      if (plan.cancelled === 'by itself') this.#model.cancel(record)
    }
    const ending = plan.ends[Math.min(number, plan.ends.length) - 1]
    if (plan.style === 'sync' && ending !== 'never ends') return this.#end(attempt, ending, returns)
    const ended = ending === 'never ends'
      ? new Promise(() => {})
      : this.#gates.pass(attempt.label).then(() => this.#end(attempt, ending, returns))
    const promise = plan.onAbort === 'nothing' ? ended : this.#listening(attempt, ended)
    // A thenable need not be a promise.
    return plan.style === 'thenable' ? { then: promise.then.bind(promise) } : promise
  }

  /** What the function does when its signal is aborted. */
  #listening ({ label, context: { signal }, record }: AttemptRecord, ended: Promise<unknown>): Promise<unknown> {
    return new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => {
        this.#model.note(`${label} is told to end`)
        if (record.plan.onAbort === 'rejects') reject(signal.reason)
        else this.add(null, `${label}/clean-up`, { to: 'app', entry: { kind: 'task', task: PLAIN_TASK } })
      })
      ended.then(resolve, reject)
    })
  }

  #end (attempt: AttemptRecord, ending: Ending, returns: EntryPlan | null): unknown {
    const { label, number, record } = attempt
    if (number === 1) this.addAll(record.entry.owner, `${record.label}/later`, record.plan.addsLater)
    const error = errorOf(ending, label)
    if (error !== undefined) {
      this.#model.ended(attempt, { error })
      throw error
    }
    const value = returns === null ? label : this.#toReturn(attempt, returns)
    // What is added is not the result; an empty list is no list of tasks.
    this.#model.ended(attempt, { result: attempt.returned.length > 0 || value instanceof BackgroundTasks ? undefined : value })
    return value
  }

  #toReturn (attempt: AttemptRecord, plan: EntryPlan): unknown {
    const functions = this.#functionsOf(this.#model.returns(attempt, plan))
    if (plan.kind === 'task') return new BackgroundTask(functions[0])
    return toEntry(plan, functions.map((fn) => new BackgroundTask(fn)))
  }
}

function errorOf (ending: Ending, label: string): Error | undefined {
  if (typeof ending === 'number') return new RetryAfterError(ending)
  switch (ending) {
    case 'fails': return new Error(label)
    case 'unrecoverable': return new UnrecoverableError(label)
    default: return undefined
  }
}

type Members = ReadonlyArray<TaskFunction<[]> | InstanceType<typeof BackgroundTask>>

function toEntry (plan: EntryPlan, tasks: Members): Members | Group {
  return plan.kind === 'group' ? toGroup(plan, tasks) : tasks
}

function toGroup ({ concurrency, onFailure }: EntryPlan & { kind: 'group' }, tasks: Members): Group {
  return new BackgroundTasks(tasks, { concurrency, onFailure })
}
