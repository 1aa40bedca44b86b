import t from 'tap'
import { Fifo } from '../lib/fifo'

const MANY = 5_000

t.test('a long queue keeps its order while it is taken from and added to', async (t) => {
  const fifo = new Fifo<number>()
  for (let i = 0; i < MANY; i++) fifo.push(i)
  const taken: Array<number | undefined> = []
  for (let i = 0; i < MANY; i++) {
    taken.push(fifo.shift())
    if (i < MANY / 2) fifo.push(MANY + i)
  }
  t.equal(fifo.length, MANY / 2)
  taken.push(...fifo.drain())

  t.strictSame(taken, Array.from({ length: MANY * 1.5 }, (_, i) => i))
  t.equal(fifo.length, 0)
  t.equal(fifo.shift(), undefined)
})

t.test('a queue that is looked through keeps what it is to keep, and asks about what is added meanwhile', async (t) => {
  const fifo = new Fifo<number>()
  for (let i = 0; i < MANY; i++) fifo.push(i)
  fifo.shift()
  fifo.retain((i) => {
    if (i < 10) fifo.push(MANY + i)
    return i % 2 === 0
  })

  // The numbers from 1, and the nine that were added behind them.
  const even = Array.from({ length: MANY + 9 }, (_, i) => i + 1).filter((i) => i !== MANY && i % 2 === 0)
  t.equal(fifo.length, even.length)
  t.strictSame(fifo.drain(), even)
})

t.test('a queue that is emptied while it is looked through is at its end', async (t) => {
  const fifo = new Fifo<number>()
  for (let i = 0; i < MANY; i++) fifo.push(i)
  const asked: number[] = []
  let drained: number[] = []
  fifo.retain((i) => {
    asked.push(i)
    if (i === 3) drained = fifo.drain()
    return true
  })

  t.equal(drained.length, MANY)
  t.strictSame(asked, [0, 1, 2, 3])
})
