// The figures of the reports: pure functions.

const SAMPLES = 2_000

/** The value that `share` (0 to 1) of a list of numbers does not exceed. */
export function quantile (values, share) {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]
}

/** The median of a list of numbers. */
export function median (values) {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/**
 * The median of a list and its 95 % confidence interval, by bootstrap with a fixed seed. A process keeps its luck, of
 * addresses and of what the compiler made of it: so processes are drawn, and then values of each.
 *
 * @param together how many values in a row come from the same process
 * @returns `{ median, low, high }`
 */
export function estimate (values, together = 1) {
  const random = mulberry32(1)
  const draw = (list) => list[Math.floor(random() * list.length)]
  const groups = Array.from({ length: Math.ceil(values.length / together) }, (_, i) => values.slice(i * together, (i + 1) * together))
  const medians = Array.from({ length: SAMPLES }, () => median(groups.flatMap(() => {
    const group = draw(groups)
    return group.map(() => draw(group))
  })))
  return { median: median(values), low: quantile(medians, 0.025), high: quantile(medians, 0.975) }
}

/** What each value is of its pair: measured in the same round, next to it. */
export function ratios (values, of) {
  return values.map((value, i) => value / of[i])
}

/** How much more each value is than its pair. */
export function differences (values, than) {
  return values.map((value, i) => value - than[i])
}

/**
 * A goal and whether it was reached.
 *
 * @param figure an estimate, or one exact number
 * @param limit `{ atMost }` or `{ atLeast }`
 */
export function goal (text, figure, { atMost = Infinity, atLeast = -Infinity }) {
  const { median, low, high } = typeof figure === 'number' ? { median: figure, low: figure, high: figure } : figure
  const met = median <= atMost && median >= atLeast
  const certain = met ? high <= atMost && low >= atLeast : low > atMost || high < atLeast
  const limit = atMost === Infinity ? `at least ${atLeast}` : `at most ${atMost}`
  return { text, limit, figure, verdict: `${met ? 'met' : 'not met'}${certain ? '' : ', but the interval has both'}` }
}

// https://gist.github.com/tommyettinger/46a574533244883189143505d203312c: enough for a bootstrap, and repeatable.
function mulberry32 (seed) {
  return () => {
    seed = (seed + 0x6D2B79F5) | 0
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}
