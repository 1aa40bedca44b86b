import type { Defined } from './defined'
import type { Run, RunOwner } from './task-run'
import type { TaskSnapshot, When } from './types'

/** The durable tasks of an application, as the core sees them: behind it is an engine. */
export interface DurableTasks {
  /** What is to be stored of the arguments. Throws what is wrong with them, or with the definition. */
  payload (defined: Defined, args: readonly unknown[]): readonly unknown[]
  /**
   * Makes a run that is not stored yet.
   *
   * @param unbound Whether it will be bound to an async context later.
   */
  create (
    owner: RunOwner, defined: Defined, payload: readonly unknown[], when: When, unbound: boolean, reqId: string | undefined
  ): Run
  /**
   * Stores runs with one call, so that they survive the process (D1). Those that could not be stored have failed.
   *
   * @throws `FST_ERR_BACKGROUND_STORE_FAILED`
   */
  store (runs: readonly Run[]): Promise<void>
  /** Their reply has left: what was stored may start. Each leaves its owner. */
  release (runs: readonly Run[]): void
  findStored (id: string): Promise<TaskSnapshot | undefined>
  cancelStored (id: string): Promise<boolean>
}
