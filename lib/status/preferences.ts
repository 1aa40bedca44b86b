/** Whether an `Accept` header asks for events by name. */
export function wantsEvents (accept: string | undefined): boolean {
  return partsOf(accept).some(([type, ...parameters]) =>
    type.toLowerCase() === 'text/event-stream' && !parameters.some((each) => /^q=0(\.0*)?$/i.test(each)))
}

/**
 * How many seconds a `Prefer` header asks to wait for (https://www.rfc-editor.org/rfc/rfc7240#section-4.3). The first
 * counts; one that cannot be read is no preference.
 */
export function waitOf (prefer: string | undefined): number | undefined {
  const waits = partsOf(prefer).map(([preference]) => /^wait\s*=\s*(.*)$/i.exec(preference)).filter((match) => match !== null)
  if (waits.length === 0) return undefined
  const [, digits] = /^"?(\d{1,9})"?$/.exec(waits[0][1]) ?? []
  return digits === undefined ? undefined : Number(digits)
}

function partsOf (header: string | undefined): string[][] {
  return (header ?? '').split(',').map((element) => element.split(';').map((part) => part.trim()))
}
