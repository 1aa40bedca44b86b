import { GroupRun, type GroupOwner } from './group-run'
import { assertTaskFunction, BackgroundTasks, toTask, type BackgroundTask } from './task'
import { Run, type RunHome } from './task-run'
import type { TaskFunction, When } from './types'

/** What stands in an order: one run, or all those of a group. */
export type Entry = Run | GroupRun

/** Makes a run of what was given to `addTask`. */
export function createRun (
  home: RunHome, owner: GroupOwner, task: unknown, args: unknown[], when: When
): Run {
  if (typeof task === 'function') {
    assertTaskFunction('addTask()', task)
    home.admit(1, task)
    return new Run(home, owner, task, args, when)
  }
  const { fn, args: own } = toTask('addTask()', task, args)
  home.admit(1, fn)
  return new Run(home, owner, fn, own, when)
}

/** Makes runs of tasks and groups: of all, or of none if there is no room for all; `unbound`: see `Run`. */
export function createEntries (
  home: RunHome, owner: GroupOwner, tasks: ReadonlyArray<BackgroundTask | BackgroundTasks>, when: When, unbound = false
): { entries: Entry[], runs: Run[] } {
  // Each getter makes a copy.
  const members = tasks.map((task) => task instanceof BackgroundTasks ? task.tasks : [task])
  const all = members.flat()
  if (all.length > 0) home.admit(all.length, all[0].fn)
  const runs: Run[] = []
  const entries = tasks.map((task, i) => {
    if (!(task instanceof BackgroundTasks)) return create(task, owner)
    const group = new GroupRun(home.slots, owner, task.concurrency, task.onFailure)
    for (const each of members[i]) group.add(create(each, group))
    return group
  })
  return { entries, runs }

  function create (task: BackgroundTask, of: GroupOwner | GroupRun): Run {
    const run = new Run(home, of, task.fn as TaskFunction<never[]>, task.args, when, unbound)
    runs.push(run)
    return run
  }
}
