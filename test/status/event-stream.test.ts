import { Writable } from 'node:stream'
import t from 'tap'
import { EventStream } from '../../lib/status/event-stream'
import { latch, turn } from '../helpers/latch'

/** A listener that takes one chunk each time it is told to. */
function slowListener (): { writable: Writable, taken: string[], take: () => void } {
  const taken: string[] = []
  let done: (() => void) | undefined
  const writable = new Writable({
    highWaterMark: 1,
    write (chunk, _encoding, callback) {
      taken.push(String(chunk))
      done = callback
    }
  })
  function take (): void {
    const taken = done
    done = undefined
    taken?.()
  }
  return { writable, taken, take }
}

t.test('status: of the events that a slow listener has not taken, only the last is kept', async (t) => {
  const stream = new EventStream(1_000, () => {})
  const { writable, taken, take } = slowListener()
  stream.pipe(writable)
  for (let i = 0; i < 10_000; i++) {
    stream.write({ id: String(i), data: '{}' })
    if (i % 100 === 0) await turn()
  }
  t.ok(stream.readableLength < 200)
  t.ok(taken.length <= 2)
  for (let i = 0; i < 5; i++) {
    take()
    await turn()
  }

  t.equal(taken.at(-1), 'id: 9999\ndata: {}\n\n')
  t.ok(taken.length <= 4, `${taken.length} of 10,000`)
})

t.test('status: the end waits for a slow listener, and is not lost', async (t) => {
  const ended = latch()
  const stream = new EventStream(1_000, ended.open)
  const { writable, taken, take } = slowListener()
  stream.pipe(writable)
  stream.write({ id: '1', data: '1' })
  await turn()
  stream.write({ id: '2', data: '2' })
  stream.finish({ id: '3', event: 'end', data: '3' })
  const timer = setInterval(take, 1)
  await ended
  clearInterval(timer)

  t.equal(taken.at(-1), 'id: 3\nevent: end\ndata: 3\n\n')
  t.notOk(taken.includes('id: 2\ndata: 2\n\n'))
})

t.test('status: one that has taken nothing between two heartbeats is cut, one that reads is not', async (t) => {
  const ends: string[] = []
  const slow = new EventStream(1_000, () => ends.push('slow'))
  const quick = new EventStream(1_000, () => ends.push('quick'))
  const texts: string[] = []
  quick.on('data', (text) => texts.push(String(text)))
  const { writable } = slowListener()
  slow.pipe(writable)
  slow.write({ id: '1', data: '1' })
  await turn()
  for (let i = 0; i < 3; i++) {
    slow.beat()
    quick.beat()
    await turn()
  }

  t.strictSame(ends, ['slow'])
  t.ok(slow.destroyed)
  t.strictSame(texts, ['retry: 1000\n\n', ':\n\n', ':\n\n', ':\n\n'])
  quick.destroy()
})
