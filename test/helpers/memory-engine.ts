import type {
  Delivery, Engine, EngineWorker, Outcome, StoredChange, StoredError, StoredPage, StoredQuery, StoredSnapshot, StoredState, StoredTask
} from '../../lib/engines/engine'
import { assertQuery } from '../../lib/engines/query'
import { toStoredError } from '../../lib/engines/stored-error'

/** What is known of a task, in the memory that engines share. */
class Entry {
  state: StoredState = 'queued'
  attempt = 0
  restarts = 0
  /** When it may be delivered next. */
  due = 0
  /** Its place in the order of deliveries. */
  turn: number
  error: StoredError | undefined
  result: unknown
  progress: Delivery['progress'] extends (progress: infer P) => void ? P | undefined : never
  startedAt: number | undefined
  finishedAt: number | undefined
  /** The engine that has delivered it, and waits for the outcome. */
  at: MemoryEngine | undefined
  /** Waits for its reply to leave. */
  held: boolean
  cancelled: { reason: string, settle: (was: boolean) => void } | undefined
  readonly json: string
  readonly id: string
  readonly seq: number
  readonly by: MemoryEngine

  constructor (task: StoredTask, seq: number, by: MemoryEngine) {
    this.json = JSON.stringify(task)
    this.id = task.id
    this.seq = this.turn = seq
    this.by = by
    this.held = by.features.local
  }

  get task (): StoredTask {
    return JSON.parse(this.json)
  }

  snapshot (): StoredSnapshot {
    const { task, state, attempt, progress, error, result, startedAt, finishedAt } = this
    return { task, state, attempt, progress, error, result, startedAt, finishedAt }
  }
}

/** What outlives the engines, as a disk or a server would. */
export class Memory {
  readonly entries = new Map<string, Entry>()
  readonly engines = new Set<MemoryEngine>()
  readonly listeners = new Set<(change: StoredChange) => void>()
  #seq = 0

  next (): number {
    return ++this.#seq
  }

  changed ({ id, state, progress }: Entry): void {
    for (const listener of this.listeners) {
      try {
        listener({ id, state, progress })
      } catch {}
    }
    for (const engine of this.engines) engine.look()
  }
}

export interface MemoryEngineOptions {
  local?: boolean
  concurrency?: number
  memory?: Memory
}

/** What a test may put in the way of the engine's methods: they wait for it, and fail if it does. */
export type Gates = Partial<Record<'open' | 'store' | 'stored' | 'work' | 'stop' | 'close' | 'find' | 'cancel', () => unknown>>

/** An engine that keeps what it has in memory, local or remote, with every step in the hands of a test. */
export class MemoryEngine implements Engine {
  readonly name = 'memory'
  readonly features: { readonly local: boolean }
  readonly memory: Memory
  /** `store`: before anything is stored; `stored`: when all is, and the caller does not know yet. */
  readonly gates: Gates = {}
  /** The methods of the life cycle, in the order of their calls. */
  readonly calls: string[] = []
  /** What came with each call of `store`: the names of the tasks. */
  readonly stores: string[][] = []
  readonly released: string[] = []
  readonly cancelled: Array<[id: string, reason: string]> = []
  readonly outcomes: Outcome[] = []
  #concurrency: number
  #worker: EngineWorker | undefined
  #atWork = 0
  #stopped = false
  #closed = false
  #looking = false
  #timer: NodeJS.Timeout | undefined
  #onRest: (() => void) | undefined

  constructor ({ local = false, concurrency = Infinity, memory = new Memory() }: MemoryEngineOptions = {}) {
    this.features = { local }
    this.memory = memory
    this.#concurrency = concurrency
  }

  async open (): Promise<void> {
    this.calls.push('open')
    await this.gates.open?.()
    this.memory.engines.add(this)
    // What a process has held that is gone may start.
    if (this.features.local) for (const entry of this.memory.entries.values()) entry.held = false
  }

  async store (tasks: readonly StoredTask[]): Promise<void> {
    this.stores.push(tasks.map(({ name }) => name))
    await this.gates.store?.()
    this.#assertOpen()
    for (const task of tasks) {
      if (!this.memory.entries.has(task.id)) this.memory.entries.set(task.id, new Entry(task, this.memory.next(), this))
      this.memory.changed(this.memory.entries.get(task.id)!)
    }
    await this.gates.stored?.()
  }

  release (ids: readonly string[]): void {
    this.released.push(...ids)
    for (const id of ids) {
      const entry = this.memory.entries.get(id)
      if (entry !== undefined) entry.held = false
    }
    this.look()
  }

  async work (worker: EngineWorker): Promise<void> {
    this.calls.push('work')
    await this.gates.work?.()
    this.#worker = worker
    this.#concurrency = Math.min(this.#concurrency, worker.concurrency)
    this.look()
  }

  async stop (): Promise<void> {
    this.calls.push('stop')
    await this.gates.stop?.()
    this.#stopped = true
  }

  async close (): Promise<void> {
    this.calls.push('close')
    await this.gates.close?.()
    this.#closed = true
    clearTimeout(this.#timer)
    if (this.#atWork > 0) await new Promise<void>((resolve) => { this.#onRest = resolve })
    this.memory.engines.delete(this)
  }

  async find (id: string): Promise<StoredSnapshot | undefined> {
    await this.gates.find?.()
    return this.memory.entries.get(id)?.snapshot()
  }

  async list (query: StoredQuery): Promise<StoredPage> {
    assertQuery(query, (cursor) => /^\d+$/.test(cursor))
    const { state, name, limit, cursor = 'Infinity' } = query
    const entries = [...this.memory.entries.values()].reverse().filter((entry) => entry.seq < Number(cursor) &&
      (state === undefined || entry.state === state) && (name === undefined || entry.task.name === name))
    const page = entries.slice(0, limit)
    return { tasks: page.map((entry) => entry.snapshot()), cursor: entries.length > limit ? String(page[limit - 1].seq) : undefined }
  }

  async counts (): Promise<Record<StoredState, number>> {
    const counts = { queued: 0, active: 0, retrying: 0, completed: 0, failed: 0, cancelled: 0 }
    for (const { state } of this.memory.entries.values()) counts[state]++
    return counts
  }

  async retry (id: string): Promise<boolean> {
    const entry = this.memory.entries.get(id)
    if (entry?.state !== 'failed' && entry?.state !== 'cancelled') return false
    entry.attempt = entry.restarts = 0
    entry.error = entry.startedAt = entry.finishedAt = undefined
    this.#wait(entry, 0)
    return true
  }

  async cancel (id: string, reason: string): Promise<boolean> {
    this.cancelled.push([id, reason])
    await this.gates.cancel?.()
    const entry = this.memory.entries.get(id)
    if (entry === undefined || isFinal(entry.state)) return false
    if (entry.at === undefined) {
      this.#finish(entry, 'cancelled', reason)
      return true
    }
    if (entry.at.#worker!.cancel(id, reason)) return true
    // Its attempt has just ended: what becomes of the task is about to be known.
    return await new Promise((resolve) => { entry.cancelled = { reason, settle: resolve } })
  }

  watch (listener: (change: StoredChange) => void): () => void {
    this.memory.listeners.add(listener)
    return () => { this.memory.listeners.delete(listener) }
  }

  /** What it has, by the names of the tasks. */
  get names (): string[] {
    return [...this.memory.entries.values()].map(({ task }) => task.name)
  }

  /** Puts a task there that nobody here has stored. */
  put (task: Partial<StoredTask> & { name: string, id: string }, some: Partial<Pick<Entry, 'attempt' | 'restarts'>> = {}): void {
    const entry = new Entry({ args: [], meta: {}, retries: 0, queuedAt: Date.now(), ...task }, this.memory.next(), this)
    this.memory.entries.set(task.id, Object.assign(entry, { held: false }, some))
    this.look()
  }

  /** Its process is killed: nothing of it reaches the memory from here on. */
  crash (): void {
    this.memory.engines.delete(this)
    this.#closed = true
    clearTimeout(this.#timer)
    for (const entry of this.memory.entries.values()) {
      if (entry.at !== this) continue
      entry.at = undefined
      entry.attempt--
      entry.restarts++
      entry.state = waitingState(entry)
    }
  }

  /** Looks for tasks to deliver, soon. */
  look (): void {
    if (this.#looking || this.#worker === undefined) return
    this.#looking = true
    setImmediate(() => {
      this.#looking = false
      for (let entry = this.#nextReady(); entry !== undefined; entry = this.#nextReady()) this.#deliver(entry)
    })
  }

  #nextReady (): Entry | undefined {
    clearTimeout(this.#timer)
    if (this.#closed || this.#atWork >= this.#concurrency) return undefined
    const waiting = [...this.memory.entries.values()].filter((entry) => entry.at === undefined && !entry.held &&
      !isFinal(entry.state) && (!this.#stopped || (this.features.local && entry.by === this)))
    const [ready] = waiting.filter(({ due }) => due <= Date.now()).sort((a, b) => a.turn - b.turn)
    if (ready === undefined && waiting.length > 0) {
      this.#timer = setTimeout(() => this.look(), Math.min(...waiting.map(({ due }) => due)) - Date.now())
    }
    return ready
  }

  async #deliver (entry: Entry): Promise<void> {
    const { startedAt } = entry
    this.#atWork++
    entry.at = this
    entry.attempt++
    entry.startedAt ??= Date.now()
    entry.state = 'active'
    entry.progress = undefined
    this.memory.changed(entry)
    const { task, attempt, restarts } = entry
    let over = false
    const progress: Delivery['progress'] = (progress) => {
      if (over || entry.at !== this) return
      entry.progress = progress
      this.memory.changed(entry)
    }
    const outcome = await this.#worker!.run({ task, attempt, restarts, progress })
    over = true
    this.#atWork--
    this.outcomes.push(outcome)
    // Else it has crashed.
    if (entry.at === this) this.#settle(entry, outcome, startedAt)
    if (this.#atWork === 0) this.#onRest?.()
    this.look()
  }

  #settle (entry: Entry, outcome: Outcome, startedAt: number | undefined): void {
    const { cancelled } = entry
    entry.at = entry.cancelled = undefined
    entry.turn = this.memory.next()
    if (outcome.state === 'returned') {
      entry.attempt--
      entry.startedAt = startedAt
    }
    const delay = outcome.state === 'returned' ? outcome.delay : outcome.state === 'failed' ? outcome.retryIn : undefined
    if (outcome.state === 'failed') entry.error = toStoredError(outcome.error)
    if (delay === undefined) this.#finish(entry, outcome.state as 'completed', outcome.state === 'cancelled' ? outcome.reason : undefined)
    else if (cancelled !== undefined) this.#finish(entry, 'cancelled', cancelled.reason)
    else this.#wait(entry, delay)
    if (outcome.state === 'completed') entry.result = outcome.result
    cancelled?.settle(entry.state === 'cancelled')
  }

  #wait (entry: Entry, delay: number): void {
    entry.due = Date.now() + delay
    entry.state = waitingState(entry)
    this.memory.changed(entry)
  }

  #finish (entry: Entry, state: 'completed' | 'failed' | 'cancelled', reason?: unknown): void {
    entry.state = state
    entry.finishedAt = Date.now()
    if (state === 'cancelled') entry.error = toStoredError(reason, 'AbortError')
    this.memory.changed(entry)
  }

  #assertOpen (): void {
    if (this.#closed) throw new Error('the engine is closed')
  }
}

function isFinal (state: StoredState): boolean {
  return state === 'completed' || state === 'failed' || state === 'cancelled'
}

function waitingState ({ attempt }: Entry): 'queued' | 'retrying' {
  return attempt > 0 ? 'retrying' : 'queued'
}
