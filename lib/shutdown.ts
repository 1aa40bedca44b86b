import { performance } from 'node:perf_hooks'
import type { Background, OpenReply } from './background'
import { describe } from './describe'
import { FST_ERR_BACKGROUND_INVALID_OPTION } from './errors'

// Runs that requests added while the server closed get this at the least, in milliseconds, whatever time is left.
const MIN_LAST_DRAIN = 1_000

// How much of Fastify's pluginTimeout a hook takes: the rest is for a busy event loop.
const SLICE = 0.8

// Fastify runs its hooks by recursion: thousands of them overflow the stack.
const MAX_SLICES = 1_000

/**
 * Cuts the wait before the plugins close, in milliseconds: Fastify gives each hook `pluginTimeout` (0: without limit),
 * and `close()` fails where one takes longer.
 *
 * @throws `FST_ERR_BACKGROUND_INVALID_OPTION` where that would take too many hooks.
 */
export function slices (closeTimeout: number, pluginTimeout: number | undefined): number[] {
  if (pluginTimeout === undefined || pluginTimeout === 0) return [closeTimeout]
  const slice = pluginTimeout * SLICE
  if (closeTimeout > MAX_SLICES * slice) {
    throw new FST_ERR_BACKGROUND_INVALID_OPTION('closeTimeout',
      `at most ${MAX_SLICES * slice} with a pluginTimeout of ${pluginTimeout}`, describe(closeTimeout))
  }
  return new Array(Math.max(1, Math.ceil(closeTimeout / slice))).fill(slice)
}

/** The two waits of `app.close()` (L1): before any plugin closes, and for what requests add after that. */
export class Shutdown {
  readonly #background: Background
  #closeTimeout: number
  #deadline: number | undefined

  constructor (background: Background) {
    this.#background = background
    this.#closeTimeout = background.options.closeTimeout
  }

  /**
   * Waits for runs at work, and through the first half of the time for replies still in their handlers, but no longer
   * than `slice` milliseconds: Fastify gives a hook no more than its `pluginTimeout`. At the deadline aborts them.
   */
  async drainSlice (slice: number): Promise<void> {
    const { open, live } = this.#background
    const deadline = this.#begin()
    const half = deadline - this.#closeTimeout / 2
    const end = Math.min(performance.now() + slice, deadline)
    const atWork = (): boolean => !live.isEmpty
    const atWorkOrInHandlers = (): boolean => !live.isEmpty || someInHandler(open)

    await this.#waitWhile(atWorkOrInHandlers, Math.min(half, end))
    await this.#waitWhile(atWork, end)
    if (performance.now() >= deadline) for (const root of [...live]) root.abort()
  }

  /** Drains what has been added since, once no reply can add more, and closes the door. */
  async drainRest (): Promise<void> {
    const { open, live, ledger } = this.#background
    const unfinished = (): boolean => ledger.unfinished > 0
    const deadline = this.#begin()
    const start = performance.now()
    const end = this.#closeTimeout === 0 ? start : Math.max(deadline, start + MIN_LAST_DRAIN)

    await this.#waitWhile(unfinished, start + (end - start) / 2)
    for (const reply of [...open]) reply.settle()
    await this.#waitWhile(unfinished, end)
    const abort = (): void => { for (const root of [...open, ...live]) root.abort() }
    abort()
    this.#background.close()
    // What the signals' listeners have added meanwhile: nobody would wait for it.
    abort()
  }

  /** @returns the deadline, by the clock of `performance`. */
  #begin (): number {
    if (this.#deadline === undefined) {
      // What is held back would never end.
      if (this.#background.held?.isRunning === false) this.#closeTimeout = 0
      this.#deadline = performance.now() + this.#closeTimeout
    }
    return this.#deadline
  }

  async #waitWhile (busy: () => boolean, until: number): Promise<void> {
    // A timer may be a millisecond early.
    while (busy() && performance.now() < until) await this.#progress(busy, until - performance.now())
  }

  /** Resolves when `busy` no longer holds, or after so many milliseconds. */
  async #progress (busy: () => boolean, delay: number): Promise<void> {
    const { promise, resolve } = withResolvers()
    const timer = setTimeout(resolve, delay)
    this.#background.onChange = () => { if (!busy()) resolve() }
    await promise
    this.#background.onChange = undefined
    clearTimeout(timer)
  }
}

function someInHandler (replies: Iterable<OpenReply>): boolean {
  for (const reply of replies) if (reply.inHandler) return true
  return false
}

// Promise.withResolvers is not there before Node 22.
function withResolvers (): { promise: Promise<void>, resolve: () => void } {
  let resolve!: () => void
  const promise = new Promise<void>((_resolve) => { resolve = _resolve })
  return { promise, resolve }
}
