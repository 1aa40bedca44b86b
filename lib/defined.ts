import type { TaskFunction, TaskOptions } from './types'

// Shared by all copies of the package in a process: a definition from a library with a copy of its own is still one.
export const kFunction = Symbol.for('fastify-background.function')

export type NamedOptions = Readonly<TaskOptions & { name: string }>

export type CheckArgs = (args: readonly unknown[]) => void

/** A definition as the core sees it. */
export interface Defined {
  readonly options: NamedOptions
  readonly [kFunction]: {
    readonly definition: Function
    readonly fn: TaskFunction<never[]>
    /** Throws what is wrong with arguments, where not every value is fit for one. */
    readonly check: CheckArgs | undefined
  }
}

/** What a function was defined as, if it was. */
export function definedBy (fn: Function): Defined | undefined {
  // What wraps a definition may have its properties, and is none. A proxy may throw at the question.
  try {
    const maybe = fn as unknown as Defined
    return maybe[kFunction]?.definition === fn ? maybe : undefined
  } catch {}
}

/** What is called for a function: what it was defined as, or itself. */
export function functionOf (fn: TaskFunction<never[]>, defined: Defined | undefined): TaskFunction<never[]> {
  return defined?.[kFunction].fn ?? fn
}
