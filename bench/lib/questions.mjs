// The questions, in the order of the report, and where their results are kept.
export const QUESTIONS = ['cost', 'latency', 'fairness', 'throughput', 'memory', 'peers', 'losses', 'engines', 'dashboard', 'listeners', 'otel', 'threads', 'shutdown', 'scale']

export const RESULTS = new URL('../results/', import.meta.url)

export function resultFile (name) {
  return new URL(`${name}.json`, RESULTS)
}
