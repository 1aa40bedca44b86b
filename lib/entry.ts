import { definedBy, kFunction } from './defined'
import { FST_ERR_BACKGROUND_NO_ENGINE } from './errors'
import { GroupRun, type GroupOwner } from './group-run'
import { assertTaskFunction, BackgroundTasks, toTask, type BackgroundTask } from './task'
import { Run, type RunHome, type RunOwner } from './task-run'
import type { TaskFunction, When } from './types'

/** What stands in an order: one run, or all those of a group. */
export type Entry = Run | GroupRun

export interface EntryOwner extends GroupOwner {
  /** Of the request, where there is one. */
  readonly reqId?: string
}

/** Makes a run of what was given to `addTask`. */
export function createRun (
  home: RunHome, owner: EntryOwner, task: unknown, args: unknown[], when: When
): Run {
  if (typeof task === 'function') {
    assertTaskFunction('addTask()', task)
    home.admit(1, task)
    return create(home, owner, task, args, payloadOf(home, task, args), when)
  }
  const { fn, args: own } = toTask('addTask()', task, args)
  home.admit(1, fn)
  return create(home, owner, fn, own, payloadOf(home, fn, own), when)
}

/** Makes runs of tasks and groups: of all, or of none if there is no room for all; `unbound`: see `Run`. */
export function createEntries (
  home: RunHome, owner: EntryOwner, tasks: ReadonlyArray<BackgroundTask | BackgroundTasks>, when: When, unbound = false
): { entries: Entry[], runs: Run[] } {
  // Each getter makes a copy.
  const members = tasks.map((task) => task instanceof BackgroundTasks ? task.tasks : [task])
  const all = members.flat()
  if (all.length > 0) home.admit(all.length, all[0].fn)
  // All are checked before the first is accepted.
  const payloads = payloadsOf(home, all)
  const runs: Run[] = []
  const entries = tasks.map((task, i) => {
    if (!(task instanceof BackgroundTasks)) return add(task, owner)
    const group = new GroupRun(home.slots, owner, task.concurrency, task.onFailure)
    for (const each of members[i]) group.add(add(each, group))
    return group
  })
  return { entries, runs }

  function add (task: BackgroundTask, of: DurableOwner): Run {
    const run = create(home, of, task.fn as TaskFunction<never[]>, task.args, payloads?.get(task), when, unbound)
    runs.push(run)
    return run
  }
}

interface DurableOwner extends RunOwner { readonly reqId?: string }

/**
 * What the engine would store, if the task is durable. Throws why it cannot be stored, and what is wrong with the
 * arguments of any definition.
 */
export function payloadOf (home: RunHome, fn: Function, args: readonly unknown[]): readonly unknown[] | undefined {
  const defined = definedBy(fn)
  if (defined === undefined) return undefined
  if (defined.options.durable !== true) {
    defined[kFunction].check?.(args)
    return undefined
  }
  if (home.durable !== null) return home.durable.payload(defined, args)
  throw new FST_ERR_BACKGROUND_NO_ENGINE(defined.options.name, 'is durable, and the plugin has no "engine"')
}

// Most have none.
function payloadsOf (home: RunHome, tasks: readonly BackgroundTask[]): Map<BackgroundTask, readonly unknown[]> | undefined {
  let payloads: Map<BackgroundTask, readonly unknown[]> | undefined
  for (const task of tasks) {
    const payload = payloadOf(home, task.fn, task.args)
    if (payload !== undefined) (payloads ??= new Map()).set(task, payload)
  }
  return payloads
}

function create (
  home: RunHome, owner: DurableOwner, fn: TaskFunction<never[]>, args: readonly unknown[],
  payload: readonly unknown[] | undefined, when: When, unbound = false
): Run {
  const run = payload === undefined
    ? new Run(home, owner, fn, args, when, unbound)
    : home.durable!.create(owner, definedBy(fn)!, payload, when, unbound, owner.reqId)
  home.held?.add(run, fn, payload ?? args)
  return run
}
