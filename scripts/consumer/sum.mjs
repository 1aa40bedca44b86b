// What the applications have a thread do.
import { isMainThread } from 'node:worker_threads'

export default function sum (...numbers) {
  this.progress(1)
  if (isMainThread) throw new Error('not in a thread')
  return numbers.reduce((a, b) => a + b, 0)
}
