// What is moved when a full array grows, and what a long queue holds on to at its head, is at most this much.
const CHUNK = 1024

/**
 * First in, first out, at constant cost whatever its length: `Array.prototype.shift` moves every item of a long array, and
 * a long one that grows is copied again and again.
 */
export class Fifo<T> {
  #first: T[] = []
  #head = 0
  // Those behind the first, in their order; none in a short queue.
  #later: T[][] | undefined
  #last = this.#first
  #length = 0

  get length (): number {
    return this.#length
  }

  push (item: T): void {
    if (this.#last.length >= CHUNK) (this.#later ??= []).push(this.#last = [])
    this.#last.push(item)
    this.#length++
  }

  shift (): T | undefined {
    if (this.#length === 0) return undefined
    const item = this.#first[this.#head]
    // The slot must not keep the item alive.
    this.#first[this.#head++] = undefined as T
    this.#length--
    if (this.#head === this.#first.length) this.#dropFirst()
    return item
  }

  /** Keeps the items that `keep` is true for, in their order. What is added meanwhile is asked about as well. */
  retain (keep: (item: T) => boolean): void {
    const kept: T[] = []
    let later = 0
    let from = this.#head
    for (let chunk: T[] | undefined = this.#first; chunk !== undefined; chunk = this.#later?.[later++]) {
      for (let i = from; i < chunk.length; i++) {
        const item = chunk[i]
        if (keep(item)) kept.push(item)
      }
      from = 0
    }
    this.#set(kept)
  }

  /** Takes out everything. */
  drain (): T[] {
    const items = this.#first.slice(this.#head).concat(...this.#later ?? [])
    // Whoever is in the midst of it is at its end.
    this.#first.length = 0
    this.#set([])
    return items
  }

  #dropFirst (): void {
    const next = this.#later?.shift()
    if (next === undefined) {
      this.#set([])
      return
    }
    this.#first = next
    this.#head = 0
  }

  #set (items: T[]): void {
    this.#first = this.#last = items
    this.#later = undefined
    this.#head = 0
    this.#length = items.length
  }
}
