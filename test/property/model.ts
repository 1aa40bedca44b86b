import type { FastifyInstance, FastifyReply } from 'fastify'
import type { BackgroundStats, RetryingEvent, TaskContext, TaskRun, TaskState } from '../../lib/index'
import { abortsWith, failsWith, hasCode, isRetried, waits } from './attempts'
import { Books } from './books'
import { groupFaults, mayStart, orderFaults } from './order'
import type { EntryPlan, Program, RouteTaskPlan } from './program'
import { AttemptRecord, ReplyRecord, type RunRecord, type Status } from './records'

/** Tasks that are about to be added. */
export interface Offer {
  readonly label: string
  readonly records: readonly RunRecord[]
  /** Whether there is room for them, and for what is accepted with them. */
  readonly fits: boolean
}

/**
 * The contract, as far as it can be told from outside. It keeps its own books of what was accepted and what has started,
 * and compares them with the plugin's at every event.
 */
export class Model {
  readonly replies: readonly ReplyRecord[]
  readonly trace: string[] = []
  /** What `when` throws where the program says so. */
  readonly whenError = new Error('when')
  closing = false
  readonly #books: Books
  readonly #reported = new Map<TaskRun, number>()
  readonly #violations: string[] = []
  // Runs that `app.close()` has found at work, or waiting for one that is.
  #atWork: RunRecord[] = []
  #idles = 0

  constructor (readonly program: Program, private readonly app: () => FastifyInstance) {
    this.replies = program.requests.map((plan, index) => new ReplyRecord(index, plan))
    this.#books = new Books(program)
  }

  note (line: string): void {
    this.trace.push(line)
  }

  violation (text: string): void {
    this.note(`VIOLATION ${text}`)
    this.#violations.push(text)
  }

  /** Throws what has been found so far. */
  assert (): void {
    if (this.#violations.length > 0) throw new Error([...this.#violations, 'What happened:', ...this.trace].join('\n  '))
  }

  /** A call is about to be made. */
  offer (owner: ReplyRecord | null, label: string, plan: EntryPlan): Offer {
    const records = this.#books.offer({ owner, from: 'call', label }, plan)
    // With the first look at a reply's queue come the tasks of its route, if there is room for them.
    const missing = owner === null ? 0 : this.#missing(owner)
    return { label, records, fits: records.length === 0 || this.#fits(missing + records.length) }
  }

  /** The call has returned these. */
  accepted ({ label, records, fits }: Offer, runs: readonly TaskRun[]): void {
    if (!fits) this.violation(`maxPending: ${label} was accepted, though there was no room`)
    if (records.length !== runs.length || records.some(({ run }, i) => run !== runs[i])) {
      this.violation(`${label}: the call returned other runs than were accepted`)
    }
    this.check()
  }

  /** The call has thrown. */
  refused ({ label, fits }: Offer, error: unknown): void {
    this.note(`${label} refused`)
    if (hasCode(error, 'CLOSED')) {
      if (!this.closing) this.violation(`L2: ${label} was refused, though nobody closes the app`)
    } else if (!hasCode(error, 'QUEUE_FULL')) this.violation(`${label}: the call threw ${String(error)}`)
    else if (fits) this.violation(`maxPending: ${label} was refused, though there was room`)
    this.check()
  }

  /** A request has come: the tasks of its route are accepted with the first look at its queue, or in `onRequest`. */
  arrives (owner: ReplyRecord, plans: readonly RouteTaskPlan[]): void {
    const { index, plan: { route } } = owner
    owner.routeRuns = plans.flatMap((plan, i) =>
      this.#books.offer({ owner, from: 'route', label: `r${index}/route${i}`, name: `route${route}/${i}` }, plan))
  }

  /** All hooks of the program have run, and the plugin's own is next. */
  passesHooks (owner: ReplyRecord): void {
    this.#missing(owner)
  }

  /** Its handler is called. */
  handles (owner: ReplyRecord): void {
    this.note(`r${owner.index} handler`)
    if (owner.isRefused) this.violation(`maxPending: the handler of r${owner.index} runs, and there was no room for its route's tasks`)
    else if (owner.missing > 0) this.violation(`A1: the handler of r${owner.index} runs before its route's tasks are accepted`)
    this.check()
  }

  /** A request fails because tasks were refused. */
  refusedRequest (owner: ReplyRecord, error: Error): void {
    this.note(`r${owner.index} refused`)
    if (this.closing && hasCode(error, 'CLOSED')) owner.isRefused = true
    if (!owner.isRefused) this.violation(`maxPending: r${owner.index} has failed with ${String(error)}, though there was room`)
    this.known(owner, 503)
    owner.complete = true
  }

  /** The answer to such a request. */
  refusal (reply: FastifyReply): void {
    const { statusCode } = reply
    if (statusCode !== 503) this.violation(`maxPending: the request was refused with ${statusCode}`)
    if (reply.getHeader('retry-after') !== '10' && !this.closing) this.violation('maxPending: the reply has no retry-after')
  }

  /** A function returns tasks, which are accepted a moment later, if its attempt still counts. @returns them. */
  returns (by: AttemptRecord, plan: EntryPlan): readonly RunRecord[] {
    const { owner } = by.record.entry
    by.returned = this.#books.offer({ owner, from: 'call', label: `${by.label}/returned`, by }, plan)
    return by.returned
  }

  /** The plugin says that it has accepted a run. */
  queued (run: TaskRun): void {
    const record = this.#books.accept(run)
    if (record === undefined) return this.violation(`${run.name} was accepted, and nobody has added it`)
    this.note(`${record.label} accepted`)
    const { by } = record.entry
    if (by?.isCurrent === false) this.violation(`R5: ${record.label} was accepted, though ${by.label} is over`)
  }

  /** A run's function has been called. */
  started (context: TaskContext): AttemptRecord | undefined {
    const run = this.app().background.get(context.id)
    const record = this.#books.find(run)
    if (record === undefined) {
      this.violation(`get(): ${context.name} is at work, and not known by its id`)
      return undefined
    }
    const attempt = new AttemptRecord(record, context.attempt, context)
    this.note(`${attempt.label} starts`)
    const before = record.attempts.at(-1)
    record.attempts.push(attempt)
    if (attempt.number !== record.attempts.length || !attempt.isCurrent) this.violation(`T2: ${attempt.label} is not the next attempt`)
    if (before?.isRetried === false) this.violation(`T2: ${attempt.label} starts, and nothing said so`)
    if (record.cancelled !== undefined) this.violation(`R5: ${attempt.label} starts, though its run was cancelled`)
    if (record.entry.condition === 'never') this.violation(`T4: ${attempt.label} starts, its condition is false`)
    this.#checkTrigger(record)
    for (const fault of [...orderFaults(record, this.#books.entries), ...groupFaults(record)]) this.violation(fault)
    this.check()
    return attempt
  }

  /** A run's function is about to return or throw. That counts unless the run has gone on without it. */
  ended (attempt: AttemptRecord, outcome: NonNullable<AttemptRecord['outcome']>): void {
    const { isCurrent, label, context: { signal } } = attempt
    this.note(`${label} ends${isCurrent ? '' : ', too late'}`)
    if (isCurrent) attempt.outcome = outcome
    if (isCurrent === signal.aborted) this.violation(`R5: the signal of ${label} is ${isCurrent ? '' : 'not '}aborted`)
    else if (!isCurrent && !abortsWith(attempt, signal.reason, this)) {
      this.violation(`R5: the signal of ${label} was aborted with ${String(signal.reason)}`)
    }
    this.check()
  }

  /** The plugin says that an attempt has failed, and that there will be another. */
  retrying ({ run, error, delay }: RetryingEvent): void {
    const attempt = this.#books.find(run)?.attempts.at(-1)
    if (attempt === undefined) return this.violation(`${run.name} is retrying, and has not started`)
    this.note(`${attempt.label} has failed, the next in ${delay} ms`)
    attempt.isRetried = true
    if (run.state !== 'retrying' || run.error !== error) this.violation(`R3: ${attempt.label} is ${run.state}: ${String(run.error)}`)
    if (!failsWith(attempt, error, this)) this.violation(`R3: ${attempt.label} has failed with ${String(error)}`)
    if (!isRetried(attempt, error)) this.violation(`R3: ${attempt.label} was the last, and the run is retrying`)
    if (!waits(attempt, error, delay)) this.violation(`R3: ${attempt.label} is waited after for ${delay} ms`)
    this.check()
  }

  /** Cancels a run. */
  cancel (record: RunRecord): void {
    const { label, run, isFinal, attempts } = record
    const { state } = run
    const reason = new Error(`cancel ${label}`)
    const done = run.cancel(reason)
    this.note(`cancel() of ${label}: ${done}`)
    if (done === isFinal) this.violation(`R5: cancel() of ${label}, which was ${state}, returned ${done}`)
    if (done) {
      record.cancelled = { reason }
      if (state === 'active') attempts.at(-1)!.isCancelled = true
      if (run.state !== 'cancelled' || run.error !== reason) this.violation(`R5: ${label} was cancelled, and is ${run.state}`)
    } else if (run.state !== state) this.violation(`R5: ${label} was ${state}, and is ${run.state} after cancel()`)
    this.check()
  }

  reported (error: unknown, run: TaskRun): void {
    this.#reported.set(run, (this.#reported.get(run) ?? 0) + 1)
    if (run.state !== 'failed') this.violation(`R3: onTaskError was called for a run that is ${run.state}`)
    if (run.error !== error) this.violation('R3: onTaskError got another error than the run has')
  }

  /** A request comes to a status, unless its reply has been settled for want of one. */
  known (reply: ReplyRecord, status: Status): void {
    reply.statuses.add(status)
    if (reply.isGone && this.program.settleTimeout === 1) reply.statuses.add('none')
  }

  /** L3, against the model's own books; the limits; and that every run takes its states in a legal order. */
  check (): void {
    const counts: Record<TaskState, number> =
      { queued: 0, active: 0, retrying: 0, completed: 0, failed: 0, cancelled: 0, discarded: 0, stored: 0 }
    for (const record of this.runs) {
      const fault = record.look()
      if (fault !== undefined) this.violation(`${record.label} ${fault}`)
      counts[record.run.state]++
    }
    const expected: BackgroundStats = { accepted: this.runs.length, ...counts, stored: 0 }
    const { stats } = this
    const text = (): string => `${JSON.stringify(expected)}, stats() says ${JSON.stringify(stats)}`
    for (const name of Object.keys(expected) as Array<keyof BackgroundStats>) {
      if (stats[name] !== expected[name]) this.violation(`L3: ${name} of ${text()}`)
    }
    const { concurrency, maxPending } = this.program
    if (counts.active > concurrency) this.violation(`concurrency: ${counts.active} runs are active`)
    if (this.unfinished > maxPending) this.violation(`maxPending: ${this.unfinished} runs are unfinished`)
  }

  /** Nothing has happened for a while: what can start has started. */
  quiet (): void {
    const { active } = this.stats
    if (active >= this.program.concurrency) return
    for (const entry of this.#books.entries.filter((entry) => mayStart(entry, this.#books.entries))) {
      const labels = entry.runs.map(({ label, run }) => `${label} is ${run.state}`)
      this.violation(`concurrency: only ${active} runs are active, and there is more to start: ${labels.join(', ')}`)
    }
  }

  /** Asks when all is done. */
  idle (): void {
    const before = [...this.runs]
    this.#idles++
    this.app().background.idle().then(() => {
      this.#idles--
      // There may be others by now.
      const left = before.find(({ isFinal }) => !isFinal)
      if (left !== undefined) this.violation(`idle() has resolved before ${left.label} is over`)
    })
  }

  /** `app.close()` is called. */
  close (): void {
    if (this.closing) return
    this.closing = true
    const begun = new Set(this.runs.filter(({ hasStarted }) => hasStarted).map(({ entry }) => entry.owner))
    this.#atWork = this.runs.filter(({ entry }) => entry.owner === null || begun.has(entry.owner))
  }

  /** The `onClose` hooks of other plugins run. */
  pluginsClose (): void {
    this.note('plugins close')
    for (const { isFinal, label } of this.#atWork) {
      if (!isFinal) this.violation(`L1: plugins close before ${label} is over, which was accepted before close()`)
    }
  }

  /** Shutdown has ended what was under way. */
  get isAborted (): boolean {
    return this.closing && this.program.closeTimeout === 0
  }

  /** How many calls of `idle()` have not resolved. */
  get idles (): number {
    return this.#idles
  }

  get stats (): BackgroundStats {
    return this.app().background.stats()
  }

  get unfinished (): number {
    const { queued, active, retrying } = this.stats
    return queued + active + retrying
  }

  /** How many attempts there were so far. */
  get starts (): number {
    return this.runs.reduce((sum, { attempts }) => sum + attempts.length, 0)
  }

  /** Something may come of it if a few milliseconds go by. */
  get waitsForTime (): boolean {
    return this.runs.some(({ run, policy }) => run.state === 'retrying' || (run.state === 'active' && policy.timeout > 0))
  }

  get runs (): readonly RunRecord[] {
    return this.#books.runs
  }

  /** How often `onTaskError` was called, for each run. */
  get reports (): ReadonlyMap<TaskRun, number> {
    return this.#reported
  }

  /** How many of the route's tasks are about to be accepted. */
  #missing (owner: ReplyRecord): number {
    if (!this.#fits(owner.missing)) owner.isRefused = true
    return owner.isRefused ? 0 : owner.missing
  }

  #fits (runs: number): boolean {
    return this.#books.unfinished + runs <= this.program.maxPending
  }

  /** T1, by what the program has let happen, and by the response itself. */
  #checkTrigger (record: RunRecord): void {
    const { owner } = record.entry
    if (owner === null || owner.isGone) return
    if (!owner.complete) this.violation(`T1: ${record.label} started before the reply was complete`)
    if (!owner.isFinished) this.violation(`T1: ${record.label} started before the response was finished`)
  }
}
