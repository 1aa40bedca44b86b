import type { StoredChange } from './engine'
import { quietly } from './quietly'

type Listener = (change: StoredChange) => void

/** Who is called back at changes of an engine's tasks. */
export class Listeners {
  readonly #listeners = new Set<Listener>()

  get size (): number {
    return this.#listeners.size
  }

  /** @returns what takes it out. */
  add (listener: Listener): () => void {
    // The same function may be given twice.
    const own: Listener = (change) => listener(change)
    this.#listeners.add(own)
    return () => { this.#listeners.delete(own) }
  }

  tell (change: StoredChange): void {
    // Each has an object of its own: what one does to it is not for the next.
    for (const listener of this.#listeners) quietly(() => listener({ ...change }))
  }
}
