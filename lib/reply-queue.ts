import type { FastifyBaseLogger, FastifyReply } from 'fastify'
import type { Background, OpenReply } from './background'
import { unlink, type Linked } from './chain'
import { now } from './clock'
import { dispatch } from './dispatcher'
import { createEntries, createRun, type Entry } from './entry'
import { publishQueued } from './events'
import { GroupRun, type GroupOwner } from './group-run'
import { ReplySettling, type SettlingOwner } from './reply-settling'
import { ReplyStore } from './reply-store'
import { BackgroundTask, BackgroundTasks, toTasks } from './task'
import type { Standing } from './slots'
import { Run } from './task-run'
import { isThenable } from './thenable'
import type { ReplyBackground, TaskFunction, TaskRun, When } from './types'
import { Waiting } from './waiting'

const NONE: readonly Run[] = []

/** `reply.background`: the runs of one reply. They wait until it settles, then go one at a time, in order. */
export class ReplyQueue implements ReplyBackground, GroupOwner, OpenReply, SettlingOwner, Standing {
  previous: Linked | null = null
  next: Linked | null = null
  readonly #background: Background
  readonly #reply: FastifyReply
  readonly #settling: ReplySettling
  readonly #entries = new Waiting<Entry>()
  // Runs of the route's tasks, which do not have their async context yet (R4).
  #unbound: readonly Run[] = NONE
  // Why the route's tasks could not be accepted.
  #refusal: unknown
  #current: Entry | null = null
  // Once there is a durable run.
  #store: ReplyStore | null = null
  #size = 0
  #settled = false
  // Conditions have been read: what is added from here on is decided at once.
  #decided = false
  // With the dispatcher, or in line for a slot.
  #inLine = false

  /** @param passed Whether the reply has gone through `onSend` already. */
  constructor (background: Background, reply: FastifyReply, passed: boolean) {
    this.#background = background
    this.#reply = reply
    this.#settling = new ReplySettling(reply, passed, background.options.settleTimeout, this)
  }

  get size (): number {
    return this.#size
  }

  get log (): FastifyBaseLogger {
    return this.#reply.log
  }

  get reqId (): string {
    // What `genReqId` returns may be a number.
    return String(this.#reply.request.id)
  }

  get inHandler (): boolean {
    // A reply that its handler has ended is as good as sent: its tasks are about to start.
    return !this.#settling.known || this.#reply.raw.writableEnded
  }

  addTask (task: unknown, ...args: unknown[]): TaskRun<never> {
    const run = createRun(this.#background, this, task, args, 'always')
    const runs = [run]
    this.#accept(runs, runs)
    return run as TaskRun as TaskRun<never>
  }

  addTasks (tasks: unknown): TaskRun[] {
    return this.#acceptAll(toTasks('addTasks()', tasks), 'always')
  }

  /** Accepts the tasks that were declared on the route, or keeps the reason why it could not. */
  addRouteTasks (tasks: ReadonlyArray<BackgroundTask | BackgroundTasks | TaskFunction<never[]>>): void {
    const { request } = this.#reply
    const own = tasks.map((task) => typeof task === 'function'
      ? new BackgroundTask(task, request as never, this.#reply as never)
      : task)
    try {
      this.#acceptAll(own, 'success', true)
    } catch (error) {
      this.#refusal = error
    }
  }

  /** Why the route's tasks could not be accepted, if so. It is told once. */
  takeRefusal (): Error | undefined {
    const refusal = this.#refusal as Error | undefined
    this.#refusal = undefined
    return refusal
  }

  /**
   * Stores the durable runs whose condition is met. Rejects with `FST_ERR_BACKGROUND_STORE_FAILED`.
   *
   * @param payload The reply's, on its way through `onSend`.
   * @returns `undefined` where there is nothing to wait for.
   */
  store (payload: unknown): Promise<void> | undefined {
    if (this.#store === null || !this.#store.isWaiting) return undefined
    this.#bind()
    this.#settling.preview(payload)
    return this.#store.store()
  }

  /**
   * The reply goes through the end of its `onSend` chain, or as near to it as the plugin can be.
   *
   * @param last Whether no other hook comes behind, so that the status is final.
   */
  pass (payload: unknown, last: boolean): void {
    this.#bind()
    this.#settling.pass(payload, last)
    this.check()
    this.#background.onChange?.()
  }

  /** The reply has failed on its way through `onSend` or behind it, and goes through it again. */
  reopen (): void {
    this.#settling.reopen()
  }

  /** Asks whether the reply is over. */
  check (): void {
    if (this.#size > 0) this.#settling.check()
  }

  settle (): void {
    this.#settling.settle()
  }

  settled (): void {
    this.#bind()
    this.#settled = true
    unlink(this)
    this.#background.live.add(this)
    if (this.#store?.isWaiting === true) this.#store.storeLate()
    this.#store?.release()
    this.#advance()
    this.#background.onChange?.()
  }

  /** Its turn. The first is for the conditions, and needs no slot; in each further one an entry starts, with a slot. */
  start (time: number): void {
    const first = !this.#decided
    if (first) {
      // A task that a condition adds meanwhile is visited as well, and once.
      this.#entries.retain((entry) => this.#admits(entry))
      this.#decided = true
    }
    // Only now: a condition may add a task, which is not to be in line beside this turn (R1).
    this.#inLine = false
    if (first && (this.#entries.length === 0 || !this.#background.slots.take())) {
      this.#advance()
      return
    }
    this.#current = this.#entries.next() ?? null
    if (this.#current === null) this.#background.slots.release()
    else this.#current.start(time)
  }

  leave (): boolean {
    if (this.#size > 0) return false
    this.#inLine = false
    return true
  }

  due (run: Run): void {
    this.#background.slots.request(run)
  }

  ended (run: Run): void {
    if (--this.#size === 0) this.#rest()
    if (run === this.#current) this.#next()
    else this.#entries.noteEnded()
    this.#background.onChange?.()
  }

  groupEnded (group: GroupRun): void {
    if (group === this.#current) this.#next()
    else this.#entries.noteEnded()
  }

  abort (): void {
    this.#store?.abort()
    for (const entry of this.#entries.drain()) entry.abort()
    this.#current?.abort()
  }

  #acceptAll (tasks: Array<BackgroundTask | BackgroundTasks>, when: When, unbound = false): Run[] {
    const { entries, runs } = createEntries(this.#background, this, tasks, when, unbound)
    if (unbound) this.#unbound = runs
    if (runs.length > 0) this.#accept(entries, runs)
    return runs
  }

  #accept (entries: readonly Entry[], runs: readonly Run[]): void {
    if (this.#size === 0) (this.#settled ? this.#background.live : this.#background.open).add(this)
    this.#size += runs.length
    for (const entry of entries) this.#place(entry)
    if (this.#settled) this.#advance()
    else this.#settling.check()
    for (const run of runs) publishQueued(this.#background, run)
    // One that is left out is passed over in its turn.
    if (this.#decided) for (const entry of entries) if (!isDurable(entry)) this.#admits(entry)
  }

  #place (entry: Entry): void {
    if (isDurable(entry)) this.#placeDurable(entry)
    else this.#entries.push(entry)
  }

  #placeDurable (run: Run): void {
    this.#store ??= new ReplyStore(this.#background.durable!, (each) => this.#admitsRun(each), this.#settled)
    this.#store.add(run)
    if (!this.#settled && !this.#settling.known) return
    // What is stored is decided in the contexts of the route's tasks.
    this.#bind()
    this.#store.storeLate()
  }

  #bind (): void {
    for (const run of this.#unbound) run.bind()
    this.#unbound = NONE
  }

  #next (): void {
    this.#current = null
    this.#advance()
  }

  #advance (): void {
    if (this.#inLine || this.#current !== null || this.#entries.length === 0) return
    this.#inLine = true
    if (this.#decided) this.#background.slots.request(this)
    // Who looks at what is held back is not to see what the conditions leave out.
    else if (this.#background.held?.isRunning === false) this.start(now())
    else dispatch(this)
  }

  /** No unfinished run is left: nothing of the reply is kept for later. */
  #rest (): void {
    unlink(this)
    this.#settling.pause()
    if (this.#inLine && this.#decided) this.#background.slots.noteIdle()
  }

  #admits (entry: Entry): boolean {
    return entry instanceof GroupRun ? entry.retain((run) => this.#admitsRun(run)) : this.#admitsRun(entry)
  }

  #admitsRun (run: Run): boolean {
    if (run.isOver) return false
    if (run.when === 'always') return true
    return run.within(() => {
      try {
        if (this.#holds(run)) return true
        run.discard()
      } catch (error) {
        // It may have cancelled its own run before it threw.
        if (!run.isOver) run.fail(error)
      }
      return false
    })
  }

  #holds (run: Run): boolean {
    const { when } = run
    if (typeof when === 'function') return truthOf(when(this.#reply.request, this.#reply))
    const { status } = this.#settling
    return (status !== undefined && status < 400) === (when === 'success')
  }
}

function isDurable (entry: Entry): entry is Run {
  return entry instanceof Run && entry.isDurable
}

function truthOf (result: unknown): boolean {
  if (!isThenable(result)) return Boolean(result)
  // Nobody waits for it: a rejection is not to reach the process.
  Promise.resolve(result).then(undefined, () => {})
  throw new TypeError('"when" returned a promise: it is read when the reply settles, and must be synchronous')
}
