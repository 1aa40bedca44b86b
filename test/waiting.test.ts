import t from 'tap'
import { Waiting } from '../lib/waiting'

const MANY = 5_000

interface Item { isOver: boolean }

t.test('what has ended while it waited is passed over', async (t) => {
  const { waiting, items } = filled(5)
  for (const i of [0, 1, 3]) items[i].isOver = true

  t.strictSame([waiting.next(), waiting.next(), waiting.next()], [items[2], items[4], undefined])
  t.equal(waiting.length, 0)
})

t.test('when half have ended, they are let go, and the rest keep their order', async (t) => {
  const { waiting, items } = filled(MANY)
  let longest = 0
  for (const item of items.slice(1, -1)) {
    item.isOver = true
    waiting.noteEnded()
    longest = Math.max(longest, waiting.length)
  }

  t.equal(longest, MANY)
  t.ok(waiting.length < MANY / 2, `${waiting.length} are left`)
  t.strictSame([waiting.next(), waiting.next(), waiting.next()], [items[0], items.at(-1), undefined])
})

t.test('what ends while it is asked whether to keep it is asked once', async (t) => {
  const { waiting, items } = filled(MANY)
  const asked: Item[] = []
  waiting.retain((item) => {
    asked.push(item)
    item.isOver = true
    waiting.noteEnded()
    return false
  })

  t.strictSame(asked, items)
  t.equal(waiting.length, 0)
})

t.test('a queue that was drained counts from none', async (t) => {
  const { waiting, items } = filled(MANY)
  // All but enough to be looked through; of those that follow, few have ended.
  for (let i = 0; i < 1_000; i++) waiting.noteEnded()
  t.strictSame(waiting.drain(), items)
  for (const item of items.slice(0, 2_000)) waiting.push(item)
  items[0].isOver = true
  for (let i = 0; i < 100; i++) waiting.noteEnded()

  t.equal(waiting.length, 2_000)
})

function filled (count: number): { waiting: Waiting<Item>, items: Item[] } {
  const waiting = new Waiting<Item>()
  const items = Array.from({ length: count }, () => ({ isOver: false }))
  for (const item of items) waiting.push(item)
  return { waiting, items }
}
