import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join, resolve } from 'node:path'
import type { Test } from 'tap'
import type { Answer, Order } from './journal-process'

/** A process with a journal of its own. */
export class Child {
  readonly #process: ChildProcess
  readonly #answers: Answer[] = []
  readonly #expecting: Array<() => void> = []
  readonly #ended: Promise<unknown>
  #hasEnded = false

  private constructor (process: ChildProcess) {
    this.#process = process
    this.#ended = once(process, 'close')
    process.on('message', (answer: Answer) => {
      this.#answers.push(answer)
      this.#proceed()
    })
    // Its last answers come before.
    process.on('close', () => {
      this.#hasEnded = true
      this.#proceed()
    })
  }

  static async start (t: Test, location: string): Promise<Child> {
    const child = new Child(fork(join(__dirname, 'journal-process.ts'), [location], {
      cwd: resolve(__dirname, '../..'),
      execArgv: ['--import', 'tsx'],
      // Nothing of what tap hands on to child processes: neither its loader nor its coverage.
      env: { PATH: process.env.PATH, _TAPJS_PROCESSINFO_COVERAGE_: '0' }
    }))
    t.teardown(() => child.kill())
    await child.hears('done')
    return child
  }

  get pid (): number {
    return this.#process.pid!
  }

  /** Sends an order, and waits until it has been carried out. */
  async obeys (order: Order): Promise<void> {
    this.sends(order)
    const { error } = await this.hears('done')
    if (error !== undefined) throw Object.assign(new Error(error.message), error)
  }

  sends (order: Order): void {
    this.#process.send(order)
  }

  /** The next answer of a kind. */
  async hears<K extends Answer['is']> (kind: K): Promise<Extract<Answer, { is: K }>> {
    for (;;) {
      const i = this.#answers.findIndex(({ is }) => is === kind)
      if (i !== -1) return this.#answers.splice(i, 1)[0] as Extract<Answer, { is: K }>
      if (this.#hasEnded) throw new Error(`the process has ended, by ${this.#process.signalCode}, and its parent waits for "${kind}"`)
      await new Promise<void>((resolve) => this.#expecting.push(resolve))
    }
  }

  /** All answers of a kind that have come and were not heard. */
  heard<K extends Answer['is']> (kind: K): Array<Extract<Answer, { is: K }>> {
    return this.#answers.filter((answer): answer is Extract<Answer, { is: K }> => answer.is === kind)
  }

  /** kill -9 */
  async kill (): Promise<void> {
    this.#process.kill('SIGKILL')
    await this.#ended
  }

  async ended (): Promise<void> {
    await this.#ended
  }

  #proceed (): void {
    for (const proceed of this.#expecting.splice(0)) proceed()
  }
}
