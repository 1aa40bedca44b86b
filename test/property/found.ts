import type { AddPlan, HandlerPlan, Program, RequestPlan, TaskPlan } from './program'

/** Programs that a version of the plugin failed on, as small as fast-check could make them. They are run first. */
export const found: Program[] = [
  // A task's first sight of the reply came after the client had left: it waited for settleTimeout, status or not.
  program({ requests: [request({ before: ['wait', add(task())] }, { leaves: true })] }),
  // With its group's tasks handed to the dispatcher, one failed: the next started all the same.
  program({
    requests: [request({
      before: [{ to: 'reply', entry: { kind: 'group', tasks: [task({ ends: ['fails'] }), task()], concurrency: 2, onFailure: 'stop' } }]
    })]
  }),
  // Settled by its time-out, so as an error, the reply came to a status after all: a later task was decided by that.
  program({
    when: 'success',
    settleTimeout: 1,
    requests: [request({ before: [add(task()), 'wait'], after: [add(task())] }, { leaves: true })]
  })
]

function program (changes: Partial<Program>): Program {
  const route = { background: [], inConfig: false }
  return {
    when: 'default',
    settleTimeout: 20_000,
    closeTimeout: 20_000,
    concurrency: Infinity,
    maxPending: Infinity,
    policy: { retries: 0, timeout: 0, delay: 0, jitter: false },
    closes: false,
    allLeave: false,
    routes: [route, route],
    requests: [],
    schedule: [],
    ...changes
  }
}

function request (handler: Partial<HandlerPlan>, changes: Partial<RequestPlan> = {}): RequestPlan {
  return {
    route: 0,
    hook: [],
    handler: { style: 'async', before: [], reply: { kind: 'string', status: 200 }, after: [], ...handler },
    leaves: false,
    ...changes
  }
}

function task (changes: Partial<TaskPlan> = {}): TaskPlan {
  return {
    policy: null, style: 'sync', ends: ['completes'], onAbort: 'nothing', cancelled: 'never', adds: [], addsLater: [], ...changes
  }
}

function add (task: TaskPlan): AddPlan {
  return { to: 'reply', entry: { kind: 'task', task } }
}
