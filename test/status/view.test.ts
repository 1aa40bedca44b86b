import t from 'tap'
import { waitOf, wantsEvents } from '../../lib/status/preferences'
import { toStatus } from '../../lib/status/view'
import type { TaskSnapshot } from '../../lib/types'

const ALL = { exposeErrors: true, exposeResult: true, redirect: true }
const RUN: TaskSnapshot = {
  id: 'id',
  name: 'task',
  state: 'completed',
  attempt: 1,
  progress: undefined,
  error: undefined,
  result: undefined,
  queuedAt: 1,
  startedAt: 2,
  finishedAt: 3
}

t.test('status: a result that JSON does not have is left out', async (t) => {
  const circle: unknown[] = []
  circle.push(circle)
  const hostile = { get location () { throw new Error('no') }, toJSON () { throw new Error('no') } }
  for (const result of [circle, 10n, () => {}, undefined, hostile]) {
    const status = toStatus({ ...RUN, result }, ALL)
    t.equal(status.result, undefined)
    t.equal(status.location, undefined)
  }
  t.strictSame(toStatus({ ...RUN, result: null }, ALL).result, null)
  t.equal(toStatus({ ...RUN, state: 'failed', result: 1 }, ALL).result, undefined)
})

t.test('status: an error that is none, or that cannot be read, is named all the same', async (t) => {
  const errorOf = (error: unknown): unknown => toStatus({ ...RUN, state: 'failed', error }, ALL).error
  const unreadable = { get name () { throw new Error('no') }, get message () { throw new Error('no') }, toString () { throw new Error('no') } }

  t.match(errorOf('broken'), { name: 'Error', message: 'broken' })
  t.match(errorOf(null), { name: 'Error', message: 'null' })
  t.match(errorOf({ message: 1, code: 2 }), { name: 'Error', message: '[object Object]', code: undefined })
  t.match(errorOf(unreadable), { name: 'Error', message: 'an error that cannot be read' })
  t.equal(errorOf(undefined), undefined)
})

t.test('status: events are for who asks for them by name', async (t) => {
  for (const accept of ['text/event-stream', 'Text/Event-Stream', 'application/json, text/event-stream;q=0.5', 'text/event-stream; q=1']) {
    t.ok(wantsEvents(accept), accept)
  }
  for (const accept of [undefined, '', '*/*', 'text/*', 'application/json', 'text/event-stream;q=0', 'text/event-stream; q=0.00', 'text/event-streams']) {
    t.notOk(wantsEvents(accept), String(accept))
  }
})

t.test('status: the wait of a Prefer header is a number of seconds, the first counts', async (t) => {
  for (const [prefer, wait] of [
    ['wait=10', 10], ['Wait = "5"', 5], ['respond-async, wait=10', 10], ['wait=0', 0], ['wait=10; x=1', 10], ['wait=1, wait=9', 1],
    [undefined, undefined], ['', undefined], ['wait', undefined], ['wait=', undefined], ['wait=-1', undefined], ['wait=1.5', undefined],
    ['wait=abc, wait=9', undefined], ['await=10', undefined], ['wait=99999999999', undefined], ['respond-async', undefined]
  ] as const) t.equal(waitOf(prefer), wait, String(prefer))
})
