/** A map that forgets what was set first when it is full. */
export class Recent<V> {
  readonly #max: number
  readonly #values = new Map<string, V>()

  constructor (max: number) {
    this.#max = max
  }

  get size (): number {
    return this.#values.size
  }

  get (key: string): V | undefined {
    return this.#values.get(key)
  }

  set (key: string, value: V): void {
    this.#values.delete(key)
    this.#values.set(key, value)
    if (this.#values.size > this.#max) this.#values.delete(this.#values.keys().next().value as string)
  }

  delete (key: string): void {
    this.#values.delete(key)
  }
}
