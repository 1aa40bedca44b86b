/** What can be in a heap, one at a time. */
export interface HeapItem {
  /** Its place in the heap; the heap's own. */
  slot: number
}

/** A binary heap: the first of many in O(log n), and any other can be taken out as cheaply. */
export class Heap<T extends HeapItem> {
  readonly #items: T[] = []
  readonly #isBefore: (a: T, b: T) => boolean

  constructor (isBefore: (a: T, b: T) => boolean) {
    this.#isBefore = isBefore
  }

  get first (): T | undefined {
    return this.#items[0]
  }

  push (item: T): void {
    this.#items.push(item)
    this.#rise(item, this.#items.length - 1)
  }

  /** Takes an item out, if it is in this heap. */
  remove (item: T): void {
    const { slot } = item
    if (this.#items[slot] !== item) return
    const last = this.#items.pop()!
    if (last === item) return
    // It may belong on either side of the gap.
    this.#rise(last, slot)
    this.#sink(last, last.slot)
  }

  shift (): T | undefined {
    const { first } = this
    if (first !== undefined) this.remove(first)
    return first
  }

  clear (): void {
    this.#items.length = 0
  }

  #rise (item: T, slot: number): void {
    while (slot > 0) {
      const parent = (slot - 1) >> 1
      if (!this.#isBefore(item, this.#items[parent])) break
      this.#put(this.#items[parent], slot)
      slot = parent
    }
    this.#put(item, slot)
  }

  #sink (item: T, slot: number): void {
    const { length } = this.#items
    for (let child = 2 * slot + 1; child < length; child = 2 * slot + 1) {
      if (child + 1 < length && this.#isBefore(this.#items[child + 1], this.#items[child])) child++
      if (!this.#isBefore(this.#items[child], item)) break
      this.#put(this.#items[child], slot)
      slot = child
    }
    this.#put(item, slot)
  }

  #put (item: T, slot: number): void {
    this.#items[slot] = item
    item.slot = slot
  }
}
