/**
 * A program: what an app is made of, what its requests do, and in which order everything happens. It is plain data, so
 * that fast-check can make it up, shrink it and print it.
 */
export interface Program {
  /** The plugin's option. `odd` is a function that is true for requests of an odd number. */
  readonly when: 'default' | 'always' | 'success' | 'error' | 'odd' | 'throws'
  readonly settleTimeout: number
  readonly closeTimeout: number
  readonly concurrency: number
  readonly maxPending: number
  /** The plugin's options: what goes for a task that does not say otherwise. */
  readonly policy: Required<PolicyPlan>
  /** Whether `app.close()` is one of the things that happen. */
  readonly closes: boolean
  /** Whether all clients leave at once at some step. */
  readonly allLeave: boolean
  readonly routes: readonly RoutePlan[]
  readonly requests: readonly RequestPlan[]
  readonly schedule: readonly Step[]
}

/** One step: an action out of those that are possible at this moment, and how much may follow from it before the next. */
export interface Step {
  readonly pick: number
  /**
   * So many turns of the event loop, after the server has seen the action; 0: on to the next step, come what may.
   * `quiet`: until nothing happens any more. `time`: until time-outs and waits of a few milliseconds have passed.
   */
  readonly then: number | 'quiet' | 'time'
}

/** The options of a task. `delay` and `jitter` are those of its `backoff`. */
export interface PolicyPlan {
  readonly retries?: number
  readonly timeout?: number
  readonly delay?: number
  readonly jitter?: boolean
}

export interface RoutePlan {
  readonly background: readonly RouteTaskPlan[]
  readonly inConfig: boolean
}

export type RouteTaskPlan =
  | { readonly kind: 'function', readonly task: TaskPlan, readonly returns: EntryPlan | null }
  | { readonly kind: 'task', readonly task: TaskPlan }
  | GroupPlan

export interface TaskPlan {
  /** `null`: a plain function; else a definition. */
  readonly policy: PolicyPlan | null
  /** All but `sync` wait at a gate. */
  readonly style: 'sync' | 'async' | 'thenable'
  /** What the attempts come to. The last goes for all that follow. */
  readonly ends: readonly Ending[]
  /** What it does when its signal is aborted. It goes on in any case. */
  readonly onAbort: 'nothing' | 'rejects' | 'adds'
  readonly cancelled: 'never' | 'by a step' | 'by itself'
  /** In the first attempt, as the next. */
  readonly adds: readonly AddPlan[]
  /** After the gate. */
  readonly addsLater: readonly AddPlan[]
}

/** One that does nothing, at once. */
export const PLAIN_TASK: TaskPlan = {
  policy: null, style: 'sync', ends: ['completes'], onAbort: 'nothing', cancelled: 'never', adds: [], addsLater: []
}

/** `unrecoverable` is an error as well, and so is a number: a `RetryAfterError`. */
export type Ending = 'completes' | 'fails' | 'unrecoverable' | 'never ends' | number

/** What stands in the order of a reply. */
export type EntryPlan = { readonly kind: 'task', readonly task: TaskPlan } | GroupPlan | ListPlan

export interface ListPlan {
  readonly kind: 'list'
  readonly tasks: readonly TaskPlan[]
}

export interface GroupPlan {
  readonly kind: 'group'
  readonly tasks: readonly TaskPlan[]
  readonly concurrency: number
  readonly onFailure: 'continue' | 'stop'
}

/** A call of `addTask` or `addTasks`. */
export interface AddPlan {
  readonly to: 'reply' | 'app'
  readonly entry: EntryPlan
}

export interface RequestPlan {
  readonly route: number
  /** What an `onRequest` hook adds to the reply. */
  readonly hook: readonly AddPlan[]
  readonly handler: HandlerPlan
  /** Whether its client leaves at some step. */
  readonly leaves: boolean
}

export interface HandlerPlan {
  /** A plain function does not wait before it has replied. */
  readonly style: 'plain' | 'async'
  readonly before: readonly HandlerStep[]
  readonly reply: ReplyPlan
  readonly after: readonly HandlerStep[]
}

export type HandlerStep = 'wait' | AddPlan

export type ReplyPlan =
  | { readonly kind: 'string' | 'throw' | 'hijack', readonly status: number }
  | { readonly kind: 'stream', readonly status: number, readonly fails: 'never' | 'at once' | 'midway' }
  /** An async handler that returns nothing, which is a reply only while its client is there. */
  | { readonly kind: 'give up' }
  | { readonly kind: 'never' }
