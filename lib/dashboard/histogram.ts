// Each bucket is a tenth wider than the one before it: what is read off is at most 5 % from the truth.
const FIRST = 0.01
const GROWTH = Math.log(1.1)
const BUCKETS = 256

/** Counts times by their length, in milliseconds, in a space that does not grow. */
export class Histogram {
  readonly #buckets = new Uint32Array(BUCKETS)
  #count = 0

  record (ms: number): void {
    this.#buckets[bucketOf(ms)]++
    this.#count++
  }

  /** @returns the time that this share (0 to 1) of all was not longer than; `null` where there was none. */
  quantile (share: number): number | null {
    if (this.#count === 0) return null
    let left = Math.max(1, Math.ceil(this.#count * share))
    let bucket = 0
    while ((left -= this.#buckets[bucket]) > 0) bucket++
    return middleOf(bucket)
  }

  clear (): void {
    this.#buckets.fill(0)
    this.#count = 0
  }
}

function bucketOf (ms: number): number {
  return ms < FIRST ? 0 : Math.min(BUCKETS - 1, 1 + Math.floor(Math.log(ms / FIRST) / GROWTH))
}

function middleOf (bucket: number): number {
  return bucket === 0 ? 0 : Number((FIRST * Math.exp(GROWTH * (bucket - 0.5))).toPrecision(3))
}
