import type { FastifyReply } from 'fastify'
import { hasLeft } from '../has-left'
import type { Frame } from './frame'
import { Listener } from './listener'

const INTERVAL = 1_000

// Each costs a frame of memory, and a connection.
const MAX_LISTENERS = 100

/** Where frames come from. */
export interface FrameSource {
  /** @param all Whether it is to have all the seconds that are kept, or the last ones only. */
  frame (all: boolean): Frame
}

/**
 * The feed of all open pages, by server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html): one
 * frame a second, made once for all of them, and none while there is none.
 */
export class Feed {
  readonly #source: FrameSource
  readonly #listeners = new Set<Listener>()
  #timer: NodeJS.Timeout | undefined
  #isClosed = false

  constructor (source: FrameSource) {
    this.#source = source
  }

  get isClosed (): boolean {
    return this.#isClosed
  }

  get isFull (): boolean {
    return this.#listeners.size >= MAX_LISTENERS
  }

  get size (): number {
    return this.#listeners.size
  }

  /** Takes a reply whose head was sent. */
  add (reply: FastifyReply): void {
    if (hasLeft(reply)) return
    const { raw } = reply
    const listener = new Listener(reply)
    this.#listeners.add(listener)
    raw.on('close', () => { this.#remove(listener) })
    // Whether it has left is all there is to know.
    raw.on('error', () => {})
    this.#send([listener])
    this.#timer ??= setInterval(() => this.#send(this.#listeners), INTERVAL)
  }

  /** Ends all of them, and takes no more. */
  close (): void {
    this.#isClosed = true
    for (const listener of this.#listeners) {
      listener.end()
      this.#remove(listener)
    }
  }

  #send (listeners: Iterable<Listener>): void {
    const recent = once(() => this.#event(false))
    const all = once(() => this.#event(true))
    for (const listener of listeners) {
      if (listener.isGone) this.#remove(listener)
      else listener.send(recent, all)
    }
  }

  #event (all: boolean): string {
    return `event: ${all ? 'all' : 'recent'}\ndata: ${JSON.stringify(this.#source.frame(all))}\n\n`
  }

  #remove (listener: Listener): void {
    this.#listeners.delete(listener)
    if (this.#listeners.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}

function once<T> (make: () => T): () => T {
  let made: T | undefined
  return () => {
    made ??= make()
    return made
  }
}
