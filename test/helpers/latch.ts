/** A promise that a test opens by hand: how tests wait, instead of sleeping. */
export interface Latch<T = void> extends Promise<T> {
  open: (value: T) => void
}

export function latch<T = void> (): Latch<T> {
  let open!: (value: T) => void
  const promise = new Promise<T>((resolve) => { open = resolve })
  return Object.assign(promise, { open })
}

/** One turn of the event loop: I/O that is ready has been seen, immediates that were due have run. */
export function turn (): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** As many turns as it takes for something that is known to come. */
export async function until (holds: () => boolean): Promise<void> {
  while (!holds()) await turn()
}
