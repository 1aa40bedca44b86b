/** The median of a list of numbers. */
export function median (values) {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/**
 * The median of paired values and its 95 % confidence interval, by bootstrap with a fixed seed.
 *
 * @param together how many values in a row come from the same process: they are drawn together, since they are alike
 */
export function medianWithInterval (values, together = 1, samples = 2000) {
  const random = mulberry32(1)
  const groups = Array.from({ length: values.length / together }, (_, i) => values.slice(i * together, (i + 1) * together))
  const medians = Array.from({ length: samples }, () =>
    median(groups.flatMap(() => groups[Math.floor(random() * groups.length)])))
  medians.sort((a, b) => a - b)
  return { median: median(values), low: medians[Math.floor(samples * 0.025)], high: medians[Math.floor(samples * 0.975)] }
}

/** Prints the median with its interval. */
export function printMedian (label, values, together) {
  const { median, low, high } = medianWithInterval(values, together)
  console.log(`${label.padEnd(42)} ${median.toFixed(3)}  (95 %: ${low.toFixed(3)} … ${high.toFixed(3)})`)
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
