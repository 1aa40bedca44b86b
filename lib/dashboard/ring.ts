/** The newest of what was put in, so many at most. */
export class Ring<T> {
  readonly #items: T[] = []
  readonly #size: number
  #next = 0

  constructor (size: number) {
    this.#size = size
  }

  push (item: T): void {
    if (this.#size === 0) return
    this.#items[this.#next] = item
    this.#next = (this.#next + 1) % this.#size
  }

  /** The newest first. */
  * [Symbol.iterator] (): Generator<T> {
    const { length } = this.#items
    for (let i = 1; i <= length; i++) yield this.#items[(this.#next - i + length) % length]
  }
}
