import { latch, type Latch } from '../helpers/latch'

interface Gate {
  readonly label: string
  readonly opened: Latch
}

/** Where handlers, tasks and streams wait until a step lets them go on. */
export class Gates {
  readonly #waiting: Gate[] = []

  /** Resolves when a step has opened the gate. */
  pass (label: string): Promise<void> {
    const opened = latch()
    this.#waiting.push({ label, opened })
    return opened
  }

  get waiting (): readonly Gate[] {
    return this.#waiting
  }

  open (gate: Gate): void {
    this.#waiting.splice(this.#waiting.indexOf(gate), 1)
    gate.opened.open()
  }
}
