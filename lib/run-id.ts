const UUID = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/

/** Whether a text can be the id of a run: an engine is not to be bothered with what cannot. */
export function isRunId (text: string): boolean {
  return UUID.test(text)
}
