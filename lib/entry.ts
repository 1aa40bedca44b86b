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
    return new Run(home, owner, task, args, when)
  }
  const { fn, args: own } = toTask('addTask()', task, args)
  return new Run(home, owner, fn, own, when)
}

/** Makes a run of a task, or runs of a group, and appends them to `runs`; `unbound`: see `Run`. */
export function createEntry (
  home: RunHome, owner: GroupOwner, task: BackgroundTask | BackgroundTasks, when: When, runs: Run[], unbound = false
): Entry {
  if (!(task instanceof BackgroundTasks)) {
    const run = new Run(home, owner, task.fn, task.args, when, unbound)
    runs.push(run)
    return run
  }
  const group = new GroupRun(owner, task.concurrency, task.onFailure)
  for (const { fn, args } of task.tasks) {
    const run = new Run(home, group, fn as TaskFunction<never[]>, args, when, unbound)
    runs.push(run)
    group.add(run)
  }
  return group
}
