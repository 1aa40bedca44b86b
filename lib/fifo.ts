// Below this many slots that are already taken, moving the rest costs more than the memory is worth.
const COMPACT_FROM = 1024

/** First in, first out, at constant cost whatever its length (`Array.prototype.shift` moves every item of a long one). */
export class Fifo<T> {
  #items: T[] = []
  #head = 0

  get length (): number {
    return this.#items.length - this.#head
  }

  push (item: T): void {
    this.#items.push(item)
  }

  shift (): T | undefined {
    if (this.#head === this.#items.length) return undefined
    const item = this.#items[this.#head]
    // The slot must not keep the item alive.
    this.#items[this.#head++] = undefined as T
    if (this.#head === this.#items.length) this.#reset([])
    else if (this.#head >= COMPACT_FROM && this.#head * 2 >= this.#items.length) this.#reset(this.#items.slice(this.#head))
    return item
  }

  /** Keeps the items that `keep` is true for, in their order. */
  retain (keep: (item: T) => boolean): void {
    let kept = this.#head
    for (let i = this.#head; i < this.#items.length; i++) {
      const item = this.#items[i]
      if (keep(item)) this.#items[kept++] = item
    }
    this.#items.length = kept
  }

  /** Takes out everything. */
  drain (): T[] {
    const items = this.#items.slice(this.#head)
    this.#reset([])
    return items
  }

  #reset (items: T[]): void {
    this.#items = items
    this.#head = 0
  }
}
