import type { ListName, ShownDetail, ShownList } from '../lib/dashboard/frame'

export type Action = 'cancel' | 'retry'

/** What the server has answered with, where it is not what was asked for. */
export class RequestError extends Error {
  readonly status: number

  constructor (status: number) {
    super(status === 404 ? 'there is no such run, or it is over' : status === 503 ? 'the engine does not answer' : `the server says ${status}`)
    this.status = status
  }
}

export async function search (text: string): Promise<ShownList> {
  return await ask(`runs?search=${encodeURIComponent(text)}&limit=1000`)
}

export async function list (name: ListName): Promise<ShownList> {
  return await ask(`runs?list=${name}&limit=1000`)
}

export async function detail (id: string): Promise<ShownDetail> {
  return await ask(`runs/${id}`)
}

export async function act (action: Action, id: string): Promise<void> {
  await ask(`runs/${id}/${action}`, {
    method: 'POST', headers: { 'content-type': 'application/json', 'x-background-dashboard': '1' }, body: '{}'
  })
}

async function ask<T> (path: string, init?: RequestInit): Promise<T> {
  const response = await fetch(path, init)
  if (!response.ok) throw new RequestError(response.status)
  return await response.json() as T
}
