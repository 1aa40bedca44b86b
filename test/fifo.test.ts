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
