// For a worker thread.
import { performance } from 'node:perf_hooks'

export default function burn (milliseconds) {
  const end = performance.now() + milliseconds
  while (performance.now() < end);
}
