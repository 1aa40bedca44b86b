import fc, { type Arbitrary } from 'fast-check'
import type {
  AddPlan, Ending, EntryPlan, GroupPlan, HandlerPlan, ListPlan, PolicyPlan, Program, ReplyPlan, RequestPlan, RoutePlan,
  RouteTaskPlan, Step, TaskPlan
} from './program'

// Long enough not to come to pass: the steps of a program take no time.
const LONG = 20_000
// How deep tasks add tasks.
const DEPTH = 2

const none = fc.constant<never[]>([])

const retries = fc.nat(2)
const jitter = fc.boolean()

const policyPlan: Arbitrary<PolicyPlan> = fc.record({
  retries,
  timeout: fc.constantFrom(0, 1, 2, LONG),
  delay: fc.constantFrom(0, 1, 3, LONG),
  jitter
}, { requiredKeys: [] })

const ending: Arbitrary<Ending> = fc.oneof(
  { weight: 4, arbitrary: fc.constant('fails') },
  { weight: 3, arbitrary: fc.constant('completes') },
  { weight: 1, arbitrary: fc.constant('never ends') },
  { weight: 1, arbitrary: fc.constant('unrecoverable') },
  { weight: 1, arbitrary: fc.nat(3) }
)

function taskPlan (depth: number): Arbitrary<TaskPlan> {
  const adds: Arbitrary<AddPlan[]> = depth === 0 ? none : fc.array(addPlan(depth - 1), { maxLength: 2 })
  return fc.record({
    policy: often(2, fc.constant(null), policyPlan),
    style: fc.constantFrom('sync', 'async', 'thenable'),
    ends: often<Ending[]>(2, fc.constant(['completes']), fc.array(ending, { minLength: 1, maxLength: 3 })),
    onAbort: fc.constantFrom('nothing', 'rejects', 'adds'),
    cancelled: often(4, fc.constant('never'), fc.constantFrom('by a step', 'by a step', 'by a step', 'by itself')),
    adds: often(2, none, adds),
    addsLater: often(3, none, adds)
  } satisfies { [Key in keyof TaskPlan]: Arbitrary<TaskPlan[Key]> }).map(withEnd)
}

/** Where nobody cancels a run, its attempts must come to an end by themselves, and be waited for no longer than a moment. */
function withEnd (task: TaskPlan): TaskPlan {
  const { policy, ends, cancelled } = task
  if (cancelled === 'by a step') return task
  let bounded = policy
  if (ends.includes('never ends')) bounded = { ...bounded, timeout: 2 }
  if (policy?.delay === LONG) bounded = { ...bounded, delay: 1 }
  return { ...task, policy: bounded }
}

function listPlan (depth: number): Arbitrary<ListPlan> {
  return fc.record({ kind: fc.constant('list'), tasks: fc.array(taskPlan(depth), { maxLength: 3 }) })
}

function groupPlan (depth: number, minLength = 0): Arbitrary<GroupPlan> {
  return fc.record({
    kind: fc.constant('group'),
    tasks: fc.array(taskPlan(depth), { minLength, maxLength: 4 }),
    concurrency: fc.constantFrom(1, 2, Infinity),
    onFailure: fc.constantFrom('continue', 'stop')
  })
}

function entryPlan (depth: number): Arbitrary<EntryPlan> {
  return fc.oneof(
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('task'), task: taskPlan(depth) }) },
    { weight: 1, arbitrary: listPlan(depth) },
    { weight: 2, arbitrary: groupPlan(depth) }
  )
}

function addPlan (depth: number): Arbitrary<AddPlan> {
  return fc.record({ to: fc.constantFrom('reply', 'reply', 'reply', 'app'), entry: entryPlan(depth) })
}

const routeTaskPlan: Arbitrary<RouteTaskPlan> = fc.oneof(
  fc.record({
    kind: fc.constant('function'), task: taskPlan(DEPTH - 1), returns: fc.option(entryPlan(DEPTH - 1), { nil: null })
  }),
  fc.record({ kind: fc.constant('task'), task: taskPlan(DEPTH - 1) }),
  groupPlan(DEPTH - 1, 1)
)

const routePlan: Arbitrary<RoutePlan> = fc.record({
  background: fc.array(routeTaskPlan, { maxLength: 3 }),
  inConfig: oneIn(4)
})

const status = fc.constantFrom(200, 201, 302, 404, 500)

const replyPlan: Arbitrary<ReplyPlan> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('string'), status }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('throw'), status: fc.constantFrom(400, 500) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('hijack'), status }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('stream'), status, fails: fc.constantFrom('never', 'at once', 'midway') })
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('give up') }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('never') }) }
)

const handlerStep = fc.oneof(fc.constant('wait' as const), { weight: 2, arbitrary: addPlan(DEPTH) })

const handlerPlan: Arbitrary<HandlerPlan> = fc.record({
  style: fc.constantFrom('plain', 'async'),
  before: fc.array(handlerStep, { maxLength: 3 }),
  reply: replyPlan,
  after: often(2, none, fc.array(handlerStep, { maxLength: 3 }))
})

const requestPlan: Arbitrary<RequestPlan> = fc.record({
  route: fc.constantFrom(0, 1),
  hook: often(4, none, fc.array(fc.record({ to: fc.constant('reply'), entry: entryPlan(0) }), { maxLength: 2 })),
  handler: handlerPlan,
  leaves: oneIn(3)
})

const step: Arbitrary<Step> = fc.record({
  pick: fc.nat(23),
  then: often<Step['then']>(5, fc.nat(3), fc.constantFrom<Array<Step['then']>>(30, 'quiet', 'time'))
})

/** Programs of all kinds. */
export const programs: Arbitrary<Program> = fc.record({
  when: often(4, fc.constant('default'), fc.constantFrom('always', 'success', 'error', 'odd', 'throws')),
  settleTimeout: fc.constantFrom(LONG, 1),
  closeTimeout: fc.constantFrom(LONG, LONG, 0),
  concurrency: fc.constantFrom(1, 2, 3, Infinity),
  maxPending: often(2, fc.constant(Infinity), fc.integer({ min: 1, max: 8 })),
  policy: often(2, fc.constant({ retries: 0, timeout: 0, delay: 0, jitter: false }), fc.record({
    retries,
    timeout: fc.constantFrom(0, 2, LONG),
    delay: fc.constantFrom(0, 2),
    jitter
  })),
  closes: oneIn(3),
  allLeave: oneIn(3),
  routes: fc.tuple(routePlan, routePlan),
  requests: fc.array(requestPlan, { minLength: 1, maxLength: 4 }),
  schedule: fc.array(step, { maxLength: 60, size: 'max' })
}).map(withPatience).map(withRoom)

/** Where a reply may end without a status that the plugin is told of, nothing but `settleTimeout` ends the wait for it. */
function withPatience (program: Program): Program {
  const unsure = program.requests.some(({ handler: { before, reply: { kind } } }) =>
    kind === 'never' || kind === 'give up' || (kind === 'hijack' && before.includes('wait')))
  return unsure ? { ...program, settleTimeout: 1 } : program
}

/** A route that declares more tasks than there is ever room for is refused at boot. */
function withRoom (program: Program): Program {
  const sizes = program.routes.map(({ background }) =>
    background.reduce((sum, plan) => sum + (plan.kind === 'group' ? plan.tasks.length : 1), 0))
  return { ...program, maxPending: Math.max(program.maxPending, ...sizes) }
}

function oneIn (n: number): Arbitrary<boolean> {
  return fc.nat(n - 1).map((value) => value === n - 1)
}

function often<T> (weight: number, usual: Arbitrary<T>, other: Arbitrary<T>): Arbitrary<T> {
  return fc.oneof({ weight, arbitrary: usual }, other)
}
