import type { Background } from '../background'
import type { Run } from '../task-run'
import type { FrameSource } from './feed'
import type { Frame, ListName, ShownDetail, ShownList, ShownRun } from './frame'
import { SECONDS_KEPT, type Meter } from './meter'
import type { Runs } from './runs'
import { showDetail, showRun, showStored } from './shown'
import { NONE_STORED, type StoredList, type StoredTasks } from './stored'

/** So many of each list are in every frame. */
export const LIST_LENGTH = 50

// A frame a second, and one may come late.
const RECENT_SECONDS = 5

// So many unfinished ones are looked at for a frame or a search: with more of them, it is a sample.
const MAX_LOOKED_AT = 10_000

/** The runs of this process, by list. */
interface OwnLists extends Record<ListName, Run[]> {
  /** Whether not all of the unfinished ones were looked at. */
  isCut: boolean
}

/** What there is to see: of this process at once, of others as far as the engine tells. */
export class Overview implements FrameSource {
  readonly #background: Background
  readonly #runs: Runs
  readonly #meter: Meter
  readonly #stored: StoredTasks | undefined
  readonly #showArguments: boolean

  constructor (background: Background, runs: Runs, meter: Meter, stored: StoredTasks | undefined, showArguments: boolean) {
    this.#background = background
    this.#runs = runs
    this.#meter = meter
    this.#stored = stored
    this.#showArguments = showArguments
  }

  frame (all: boolean): Frame {
    this.#stored?.refresh()
    const time = Date.now()
    return {
      time,
      stats: this.#background.stats(),
      engine: this.#stored?.shown(),
      lists: this.#lists(),
      seconds: this.#meter.since(Math.floor(time / 1_000) - (all ? SECONDS_KEPT : RECENT_SECONDS))
    }
  }

  /** One run, wherever it is. Rejects where the engine is away. */
  async detail (id: string): Promise<ShownDetail | undefined> {
    const run = this.#find(id)
    const stored = run === undefined || run.isDurable ? await this.#stored?.find(id) : undefined
    const args = this.#showArguments ? stored?.task.args ?? run?.args : undefined
    if (stored !== undefined && (run === undefined || !this.#background.knowsBest(run))) return showDetail(showStored(stored), stored.error, args)
    return run && showDetail(showRun(run), run.error, args)
  }

  /** Those whose name has the text in it, or whose id begins with it. Rejects where the engine is away. */
  async search (text: string, limit: number): Promise<ShownList> {
    const { tasks, more } = await this.#searchStored(text, limit + 1)
    const stored = new Map(tasks.map((each) => [each.task.id, each]))
    const found = new Map<string, ShownRun>()
    const matches = matcher(text)
    for (const each of this.#known()) {
      if (found.size > limit) break
      if (!matches(each) || found.has(each.id)) continue
      // It may have been tried again.
      const run = this.#background.get(each.id) ?? each
      const kept = this.#background.knowsBest(run) ? undefined : stored.get(run.id)
      found.set(run.id, kept === undefined ? showRun(run) : showStored(kept))
    }
    for (const [id, each] of stored) if (!found.has(id)) found.set(id, showStored(each))
    return listOf([...found.values()], limit, more || this.#background.ledger.unfinished > MAX_LOOKED_AT)
  }

  /** One list, longer than in a frame. Rejects where the engine is away. */
  async list (name: ListName, limit: number): Promise<ShownList> {
    const stored = await this.#stored?.listNamed(name, limit + 1)
    return this.#merge(name, limit, this.#own(limit + 1, true), stored ?? NONE_STORED)
  }

  #lists (): Record<ListName, ShownList> {
    const own = this.#own(LIST_LENGTH + 1, this.#stored?.hasAnswered ?? false)
    const list = (name: ListName): ShownList => this.#merge(name, LIST_LENGTH, own, this.#stored?.lists[name] ?? NONE_STORED)
    return { running: list('running'), waiting: list('waiting'), failed: list('failed') }
  }

  /** @param isTold Whether the engine has told what it has. */
  #own (limit: number, isTold: boolean): OwnLists {
    const own: OwnLists = { running: [], waiting: [], failed: [], isCut: false }
    let looked = 0
    for (const run of this.#runs.unfinished) {
      own.isCut = ++looked > MAX_LOOKED_AT
      if (own.isCut) break
      const list = run.state === 'active' ? own.running : own.waiting
      if (list.length < limit) list.push(run)
    }
    for (const run of this.#runs.failed()) {
      if (own.failed.length >= limit) break
      // A durable run that is over is the engine's to tell of; one that never started may not have been stored.
      if (!run.isDurable || !isTold || run.attempt === 0) own.failed.push(run)
    }
    return own
  }

  #merge (name: ListName, limit: number, { [name]: own, isCut }: OwnLists, { tasks, more }: StoredList): ShownList {
    const ids = new Set(own.map(({ id }) => id))
    const others = tasks.filter(({ task }) => !ids.has(task.id) && !this.#isElsewhere(name, task.id))
    const runs = [...own.map(showRun), ...others.map(showStored)]
    if (name !== 'failed') return listOf(runs, limit, isCut || more)
    return listOf(runs.sort((a, b) => (b.finishedAt ?? 0) - (a.finishedAt ?? 0)), limit, more)
  }

  /** What this process has in its hands it knows better: the engine's answer may be two seconds old. */
  #isElsewhere (name: ListName, id: string): boolean {
    const run = this.#background.ledger.get(id)
    return run !== undefined && name !== (run.state === 'active' ? 'running' : 'waiting')
  }

  async #searchStored (text: string, limit: number): Promise<StoredList> {
    if (this.#stored === undefined) return NONE_STORED
    const byId = await this.#stored.find(text.toLowerCase())
    if (byId !== undefined) return { tasks: [byId], more: false }
    // An engine finds whole names alone: those that this process knows are completed for it.
    const known = [...this.#background.options.tasks.keys()].filter((name) => name.toLowerCase().includes(text.toLowerCase()))
    return await this.#stored.list([...new Set([text, ...known])].map((name) => ({ name, limit })))
  }

  #find (id: string): Run | undefined {
    return this.#background.get(id) ?? [...this.#runs.failed()].find((run) => run.id === id)
  }

  * #known (): Generator<Run> {
    let left = MAX_LOOKED_AT
    for (const run of this.#runs.unfinished) {
      if (left-- === 0) break
      yield run
    }
    yield * this.#runs.finished()
  }
}

function listOf (runs: readonly ShownRun[], limit: number, more: boolean): ShownList {
  return { runs: runs.slice(0, limit), more: more || runs.length > limit }
}

function matcher (text: string): (run: Run) => boolean {
  const wanted = text.toLowerCase()
  // A run has no id before somebody reads it: thousands are not to get one that nobody can have asked for.
  return (run) => run.name.toLowerCase().includes(wanted) || run.knownId?.startsWith(wanted) === true
}
