import type { TaskSnapshot } from '../types'
import type { Changes, Listener } from './changes'
import { isFinal } from './view'

/** What becomes of a run, for one that follows it. */
export interface Sight {
  /** What it is now. Not called again after a final state. */
  see (run: TaskSnapshot): void
  /** From time to time, until it stops. */
  beat (): void
  /** There is nothing more to see: the run is not known any more, or the application closes. */
  lost (): void
}

/** Follows one run: looks at it when it may have changed, no more often than every so many milliseconds, and at once at its end. */
export class Follower implements Listener {
  readonly #find: () => Promise<TaskSnapshot | undefined>
  readonly #interval: number
  readonly #sight: Sight
  readonly #unfollow: () => void
  // There is nothing more to see.
  #over = false
  #looking = false
  // Something has changed since the last look began.
  #changed = false
  #timer: NodeJS.Timeout | undefined

  /** @throws `FST_ERR_BACKGROUND_TOO_MANY_LISTENERS` */
  constructor (changes: Changes, id: string, find: (id: string) => Promise<TaskSnapshot | undefined>, interval: number, sight: Sight) {
    this.#find = () => find(id)
    this.#interval = interval
    this.#sight = sight
    this.#unfollow = changes.follow(id, this)
    // What has happened before it followed.
    this.changed()
  }

  changed (run?: TaskSnapshot): void {
    // It may be forgotten by the next look.
    if (run !== undefined && isFinal(run)) {
      this.#see(run)
      return
    }
    this.#changed = true
    if (!this.#over && !this.#looking && this.#timer === undefined) this.#look()
  }

  beat (): void {
    this.#sight.beat()
    this.changed()
  }

  close (): void {
    this.#end()
    this.#sight.lost()
  }

  /** Nobody wants to know any more. Until then it counts as a listener, even if there is nothing more to see. */
  stop (): void {
    this.#end()
    this.#unfollow()
  }

  #end (): void {
    this.#over = true
    clearTimeout(this.#timer)
  }

  async #look (): Promise<void> {
    this.#looking = true
    this.#changed = false
    try {
      const run = await this.#find()
      if (run !== undefined) this.#see(run)
      else if (!this.#over) this.close()
    } catch {
      // The engine is away: at the next beat it is asked again.
    }
    this.#looking = false
    if (this.#over) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      if (this.#changed) this.#look()
    }, this.#interval)
  }

  #see (run: TaskSnapshot): void {
    if (this.#over) return
    if (isFinal(run)) this.#end()
    this.#sight.see(run)
  }
}
