// What the examples' client sends.
import assert from 'node:assert'

/** Expects a reply with this status. @returns what it says */
export async function post (status: number, url: string, init?: RequestInit) {
  const response = await fetch(url, { method: 'POST', ...init })
  assert(response.status === status, `POST ${url}: expected ${status}, got ${response.status}`)
  return await response.json() as Record<string, string>
}

export function registration (email: string): RequestInit {
  return { headers: { 'content-type': 'application/json' }, body: JSON.stringify({ email }) }
}
