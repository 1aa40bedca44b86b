import type { Engine, StoredQuery, StoredSnapshot, StoredState } from '../engines/engine'
import { isRunId } from '../run-id'
import type { ListName, ShownEngine } from './frame'

// It is asked no more often than that, however many pages are open.
const ASK_EVERY = 2_000

// An answer that takes longer is told of.
const TROUBLED_AFTER = 5_000

const STATES_OF: Readonly<Record<ListName, readonly StoredState[]>> = {
  running: ['active'], waiting: ['queued', 'retrying'], failed: ['failed']
}

/** What an engine has found. */
export interface StoredList {
  readonly tasks: readonly StoredSnapshot[]
  /** Whether there may be others: some engines look at the newest alone. */
  readonly more: boolean
}

export const NONE_STORED: StoredList = { tasks: [], more: false }

type Lists = Readonly<Record<ListName, StoredList>>

/** What the engine has, of all processes, as it was when it was last asked. */
export class StoredTasks {
  readonly #engine: Engine
  readonly #limit: number
  readonly #now: () => number
  #lists: Lists = { running: NONE_STORED, waiting: NONE_STORED, failed: NONE_STORED }
  #counts: ShownEngine['counts']
  #asked = -Infinity
  #isAsking = false
  #isOld = false
  #trouble: string | undefined

  /** @param limit How many of each list: one more than are shown, to tell that there are others. */
  constructor (engine: Engine, limit: number, now: () => number = Date.now) {
    this.#engine = engine
    this.#limit = limit
    this.#now = now
  }

  get lists (): Lists {
    return this.#lists
  }

  get hasAnswered (): boolean {
    return this.#counts !== undefined
  }

  /** What was known is old: something was changed. */
  expire (): void {
    this.#isOld = true
  }

  /** Asks again if it is time, and does not wait for the answer. */
  refresh (): void {
    if (this.#isAsking || (!this.#isOld && this.#now() - this.#asked < ASK_EVERY)) return
    this.#isAsking = true
    this.#isOld = false
    this.#asked = this.#now()
    this.#ask().then(() => { this.#trouble = undefined }, (error: unknown) => {
      this.#trouble = error instanceof Error ? error.message : String(error)
    }).finally(() => { this.#isAsking = false })
  }

  shown (): ShownEngine {
    const isLate = this.#isAsking && this.#now() - this.#asked >= TROUBLED_AFTER
    return { name: this.#engine.name, counts: this.#counts, trouble: isLate ? 'it does not answer' : this.#trouble }
  }

  /** Asks now, as the next two. Rejects where the engine is away. */
  async find (id: string): Promise<StoredSnapshot | undefined> {
    return isRunId(id) ? await this.#engine.find(id) : undefined
  }

  async list (queries: readonly StoredQuery[]): Promise<StoredList> {
    const pages = await Promise.all(queries.map((query) => this.#engine.list(query)))
    return { tasks: pages.flatMap(({ tasks }) => tasks), more: pages.some(({ cursor }) => cursor !== undefined) }
  }

  async listNamed (name: ListName, limit: number): Promise<StoredList> {
    return await this.list(STATES_OF[name].map((state) => ({ state, limit })))
  }

  async #ask (): Promise<void> {
    const [counts, running, waiting, failed] = await Promise.all([
      this.#engine.counts(), this.listNamed('running', this.#limit), this.listNamed('waiting', this.#limit),
      this.listNamed('failed', this.#limit)
    ])
    this.#counts = counts
    this.#lists = { running, waiting, failed }
  }
}
