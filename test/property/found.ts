import {
  PLAIN_TASK, type AddPlan, type HandlerPlan, type Program, type RequestPlan, type RoutePlan, type TaskPlan
} from './program'

const ROUTE: RoutePlan = { background: [], inConfig: false }

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
  }),
  // The error of the first attempt was still there in the second.
  program({ requests: [request({ before: [add(task({ policy: { retries: 1 }, ends: ['fails', 'completes'] }))] })] }),
  // A route's function was cancelled, and the tasks that it returned were accepted all the same.
  program({
    routes: [
      {
        background: [{
          kind: 'function', task: task({ style: 'async', cancelled: 'by itself' }), returns: { kind: 'task', task: task() }
        }],
        inConfig: false
      },
      ROUTE
    ],
    requests: [request()]
  }),
  // Shutdown ended a run at the very last, whose function then added another: nothing ended that.
  program({
    closeTimeout: 0,
    closes: true,
    allLeave: true,
    requests: [request({
      before: ['wait', { to: 'app', entry: { kind: 'task', task: task({ style: 'async', onAbort: 'adds' }) } }],
      reply: { kind: 'never' }
    })],
    // Sent, close(), the gate, all leave.
    schedule: [0, 1, 1, 0].map((pick) => ({ pick, then: 'quiet' }))
  })
]

function program (changes: Partial<Program>): Program {
  return {
    when: 'default',
    settleTimeout: 20_000,
    closeTimeout: 20_000,
    concurrency: Infinity,
    maxPending: Infinity,
    policy: { retries: 0, timeout: 0, delay: 0, jitter: false },
    closes: false,
    allLeave: false,
    routes: [ROUTE, ROUTE],
    requests: [],
    schedule: [],
    ...changes
  }
}

function request (handler: Partial<HandlerPlan> = {}, changes: Partial<RequestPlan> = {}): RequestPlan {
  return {
    route: 0,
    hook: [],
    handler: { style: 'async', before: [], reply: { kind: 'string', status: 200 }, after: [], ...handler },
    leaves: false,
    ...changes
  }
}

function task (changes: Partial<TaskPlan> = {}): TaskPlan {
  return { ...PLAIN_TASK, ...changes }
}

function add (task: TaskPlan): AddPlan {
  return { to: 'reply', entry: { kind: 'task', task } }
}
