/** For what is not ours, loggers and listeners: what they throw must not stop the engine. */
export function quietly (action: () => void): void {
  try {
    action()
  } catch {
    // There is nobody left to tell.
  }
}

/** For what is dealt with elsewhere. */
export function ignore (): void {}
