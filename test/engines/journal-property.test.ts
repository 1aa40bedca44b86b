// Makes up what may happen to a journal, and holds it to a model: after each step, what is at work, what waits and what
// is kept has to be as the model says; and each delivery has to be one that the model expects.
import fc from 'fast-check'
import t from 'tap'
import type { Delivery, Engine, EngineWorker, Outcome, StoredState } from '../../lib/engines/engine'
import { turn } from '../helpers/latch'
import { faultyDisk, recordsAt, type Disk } from '../helpers/disk'
import { journalStore, type JournalStore } from '../helpers/journal'
import { BACK, COMPLETED, idsOf, SILENT, someTasks } from './suite-support'

const RUNS = 60
const CONCURRENCY = 3
const MANY_TURNS = 1_000_000

const OUTCOMES: Record<string, Outcome> = {
  completed: COMPLETED,
  failed: { state: 'failed', error: 'broken' },
  retried: { state: 'failed', error: 'broken', retryIn: 0 },
  returned: BACK
}

interface Expected { state: 'held' | 'pending' | 'failed' | 'cancelled', failures: number, restarts: number }

type Step =
  | { readonly do: 'store', readonly count: number, readonly release: boolean }
  | { readonly do: 'store in vain' | 'shut down' | 'crash' | 'release' }
  | { readonly do: 'end', readonly which: number, readonly as: string }
  | { readonly do: 'cancel' | 'retry', readonly which: number }
  | { readonly do: 'stumble', readonly then: Step }

const which = fc.nat(20)
const simple: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant('store' as const), count: fc.integer({ min: 1, max: 4 }), release: fc.boolean() }),
  fc.record({ do: fc.constantFrom('store in vain' as const, 'shut down' as const, 'crash' as const, 'release' as const) }),
  { weight: 4, arbitrary: fc.record({ do: fc.constant('end' as const), which, as: fc.constantFrom(...Object.keys(OUTCOMES)) }) },
  fc.record({ do: fc.constantFrom('cancel' as const, 'retry' as const), which })
)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: simple }, { weight: 1, arbitrary: fc.record({ do: fc.constant('stumble' as const), then: simple }) })

t.test('D2, D5, D6, D7: whatever happens, a journal does what the model says', async (t) => {
  const disk = faultyDisk(t)
  await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), async (steps) => {
    const world = new World(journalStore(t), disk)
    await world.open()
    for (const each of steps) await world.take(each)
    await world.finish()
  }), { numRuns: RUNS, endOnFailure: true })
})

class World implements EngineWorker {
  readonly concurrency = Infinity
  readonly #store: JournalStore
  readonly #disk: Disk
  readonly #tasks = new Map<string, Expected>()
  readonly #atWork = new Map<string, (outcome: Outcome) => void>()
  #engine!: Engine
  #problem: string | undefined

  constructor (store: JournalStore, disk: Disk) {
    this.#store = store
    this.#disk = disk
  }

  async open (): Promise<void> {
    for (const task of this.#tasks.values()) if (task.state === 'held') task.state = 'pending'
    this.#engine = this.#store.engine({ concurrency: CONCURRENCY })
    await this.#engine.open(SILENT)
    await this.#engine.work(this)
  }

  async run ({ task: { id, args }, attempt, restarts }: Delivery): Promise<Outcome> {
    const task = this.#tasks.get(id)
    if (task?.state !== 'pending' || this.#atWork.has(id) || args[0] !== 'argument' ||
      attempt !== task.failures + 1 || restarts !== task.restarts) {
      this.#problem ??= `not expected: ${JSON.stringify({ id, args, attempt, restarts, task, isAtWork: this.#atWork.has(id) })}`
    }
    return await new Promise((resolve) => this.#atWork.set(id, resolve))
  }

  cancel (id: string, reason: unknown): boolean {
    const task = this.#tasks.get(id)!
    if (!this.#atWork.has(id)) return false
    task.state = 'cancelled'
    this.#end(id, { state: 'cancelled', reason })
    return true
  }

  async take (step: Step): Promise<void> {
    switch (step.do) {
      case 'store': await this.#add(step.count, step.release); break
      case 'store in vain': await this.#addInVain(); break
      case 'release': this.#release([...this.#tasks.keys()]); break
      case 'end': this.#endOne(step.which, step.as); break
      case 'cancel': await this.#cancel(step.which); break
      case 'retry': await this.#retry(step.which); break
      case 'shut down': await this.#leave(async (engine) => await engine.stop()); break
      case 'crash': await this.#leave(async (engine) => await this.#store.crash(engine)); break
      case 'stumble':
        this.#disk.failures = 1
        await this.take(step.then)
        this.#disk.failures = 0
    }
    await this.#check()
  }

  /** Completes all that is left. */
  async finish (): Promise<void> {
    await this.take({ do: 'release' })
    while (this.#atWork.size > 0) await this.take({ do: 'end', which: 0, as: 'completed' })
    await this.#engine.close()
    const kept = [...this.#tasks.values()]
    assert(kept.every(({ state }) => state === 'failed' || state === 'cancelled'), 'something is left')
    assert(Object.keys(await recordsAt(this.#store.location())).length === 2 * kept.length, 'records are left, or lost')
  }

  async #add (count: number, release: boolean): Promise<void> {
    const tasks = someTasks(count, { args: ['argument'] })
    for (const { id } of tasks) this.#tasks.set(id, { state: 'held', failures: 0, restarts: 0 })
    await this.#engine.store(tasks)
    if (release) this.#release(idsOf(tasks))
  }

  async #addInVain (): Promise<void> {
    Object.assign(this.#disk, { batch: 'fails', failures: 0 })
    await this.#engine.store(someTasks(2)).then(() => { throw new Error('it was stored') }, () => {})
    this.#disk.batch = 'works'
    await this.#engine.store([])
  }

  #release (ids: string[]): void {
    for (const id of ids) {
      const task = this.#tasks.get(id)!
      if (task.state === 'held') task.state = 'pending'
    }
    this.#engine.release(ids)
  }

  #endOne (which: number, as: string): void {
    const id = pick([...this.#atWork.keys()], which)
    if (id === undefined) return
    const task = this.#tasks.get(id)!
    if (as === 'completed') this.#tasks.delete(id)
    if (as === 'failed') task.state = 'failed'
    if (as === 'failed' || as === 'retried') task.failures++
    this.#end(id, OUTCOMES[as])
  }

  #end (id: string, outcome: Outcome): void {
    const resolve = this.#atWork.get(id)!
    this.#atWork.delete(id)
    resolve(outcome)
  }

  async #cancel (which: number): Promise<void> {
    const id = pick([...this.#tasks.keys()], which)
    if (id === undefined) return
    const task = this.#tasks.get(id)!
    const isOver = task.state === 'failed' || task.state === 'cancelled'
    const isCancelled = await this.#engine.cancel(id, 'no longer needed')
    task.state = isOver ? task.state : 'cancelled'
    assert(isCancelled !== isOver, 'the answer of cancel')
  }

  async #retry (which: number): Promise<void> {
    const id = pick([...this.#tasks.keys()], which)
    if (id === undefined) return
    const task = this.#tasks.get(id)!
    const isOver = task.state === 'failed' || task.state === 'cancelled'
    if (isOver) Object.assign(task, { state: 'pending', failures: 0, restarts: 0 })
    assert(await this.#engine.retry(id) === isOver, 'the answer of retry')
  }

  /** Another process takes over. */
  async #leave (how: (engine: Engine) => Promise<void>): Promise<void> {
    const [engine, location] = [this.#engine, this.#store.location()]
    await how(engine)
    const isCrash = location !== this.#store.location()
    for (const id of [...this.#atWork.keys()]) {
      if (isCrash) this.#tasks.get(id)!.restarts++
      this.#end(id, BACK)
    }
    await engine.close()
    await this.open()
  }

  /** Waits until all that should be at work is, and all is written. */
  async #check (): Promise<void> {
    const pending = [...this.#tasks.values()].filter(({ state }) => state === 'pending')
    const fresh = pending.filter(({ restarts }) => restarts === 0)
    // Of those that a process has died at, one at a time.
    const active = Math.min(CONCURRENCY, fresh.length + Math.min(1, pending.length - fresh.length))
    for (let turns = 0; this.#atWork.size !== active || turns < 5; turns++) {
      assert(turns < MANY_TURNS, `${this.#atWork.size} at work, not ${active}`)
      await turn()
    }
    const suspects = [...this.#atWork.keys()].filter((id) => this.#tasks.get(id)!.restarts > 0)
    assert(suspects.length <= 1, `${suspects.length} at work that a process has died at`)
    const states = [...this.#tasks].map(([id, { state, failures }]): StoredState => {
      if (this.#atWork.has(id)) return 'active'
      if (state === 'failed' || state === 'cancelled') return state
      return failures > 0 ? 'retrying' : 'queued'
    })
    const count = (state: StoredState): number => states.filter((each) => each === state).length
    for (const [state, number] of Object.entries(await this.#engine.counts())) {
      assert(number === count(state as StoredState), `${number} are ${state}, not ${count(state as StoredState)}`)
    }
    const { tasks } = await this.#engine.list({ limit: Infinity })
    assert(tasks.map(({ task }) => task.id).reverse().join() === [...this.#tasks.keys()].join(), 'the list')
    assert(this.#problem === undefined, this.#problem!)
  }
}

function pick (ids: string[], which: number): string | undefined {
  return ids[which % ids.length]
}

function assert (holds: boolean, message: string): asserts holds {
  if (!holds) throw new Error(message)
}
