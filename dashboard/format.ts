const numbers = new Intl.NumberFormat('en')
const clock = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' })

const hours = new Intl.DateTimeFormat(undefined, { hour: 'numeric', minute: '2-digit' })

export function count (value: number): string {
  return numbers.format(value)
}

/** A length of time, to as many places as one reads at a glance. */
export function duration (ms: number): string {
  if (ms < 10) return `${Number(ms.toPrecision(2))} ms`
  if (ms < 1_000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`
  const minutes = Math.floor(ms / 60_000)
  if (minutes < 60) return `${minutes} min ${Math.floor(ms / 1_000) % 60} s`
  return `${count(Math.floor(minutes / 60))} h ${minutes % 60} min`
}

export function time (epoch: number): string {
  return clock.format(epoch)
}

/** The time of day, of seconds since the epoch. */
export function hour (seconds: number): string {
  return hours.format(seconds * 1_000)
}

/** The beginning of an id: enough to tell it by. */
export function short (id: string): string {
  return id.slice(0, 8)
}
