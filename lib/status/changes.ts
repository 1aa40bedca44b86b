import type { Background } from '../background'
import { FST_ERR_BACKGROUND_TOO_MANY_LISTENERS } from '../errors'
import { listen } from '../listen'
import type { TaskEvent, TaskSnapshot } from '../types'

/** Who wants to know of one run. */
export interface Listener {
  /** It may have come further. `run`: as it is in this process. */
  changed (run?: TaskSnapshot): void
  /** From time to time. */
  beat (): void
  /** The application closes. */
  close (): void
}

/** Tells of changes of runs, in this process and as far as the engine says. It listens only while somebody wants to know. */
export class Changes {
  readonly #background: Background
  readonly #maxListeners: number
  readonly #heartbeat: number
  readonly #listeners = new Map<string, Set<Listener>>()
  #size = 0
  #closed = false
  #stop: (() => void) | undefined

  constructor (background: Background, { maxListeners, heartbeat }: { maxListeners: number, heartbeat: number }) {
    this.#background = background
    this.#maxListeners = maxListeners
    this.#heartbeat = heartbeat
  }

  /**
   * @returns what ends it, to be called once.
   * @throws `FST_ERR_BACKGROUND_TOO_MANY_LISTENERS`
   */
  follow (id: string, listener: Listener): () => void {
    if (this.#closed || this.#size >= this.#maxListeners) throw new FST_ERR_BACKGROUND_TOO_MANY_LISTENERS(this.#maxListeners)
    this.#stop ??= this.#start()
    const listeners = this.#listeners.get(id) ?? new Set()
    this.#listeners.set(id, listeners.add(listener))
    this.#size++
    return () => {
      listeners.delete(listener)
      this.#size--
      if (listeners.size === 0) this.#listeners.delete(id)
      if (this.#size > 0) return
      this.#stop?.()
      this.#stop = undefined
    }
  }

  /** Ends what there is, and takes no more. */
  close (): void {
    this.#closed = true
    for (const listener of this.#all()) listener.close()
  }

  #start (): () => void {
    const { engine } = this.#background.options
    // What a local engine has is run in this process.
    const unwatch = engine === undefined || engine.features.local ? undefined : engine.watch(({ id }) => this.#tell(id))
    const tell = ({ run }: TaskEvent): void => this.#tell(run.id, run.state === 'stored' ? undefined : run)
    const stop = listen(this.#background, { taken: tell, start: tell, progress: tell, retrying: tell, finished: tell })
    const timer = setInterval(() => { for (const listener of this.#all()) listener.beat() }, this.#heartbeat)
    return () => {
      stop()
      clearInterval(timer)
      unwatch?.()
    }
  }

  #tell (id: string, run?: TaskSnapshot): void {
    for (const listener of [...this.#listeners.get(id) ?? []]) listener.changed(run)
  }

  #all (): Listener[] {
    return [...this.#listeners.values()].flatMap((listeners) => [...listeners])
  }
}
