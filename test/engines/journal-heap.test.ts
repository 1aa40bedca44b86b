import fc from 'fast-check'
import t from 'tap'
import { Heap, type HeapItem } from '../../lib/engines/journal-heap'

interface Item extends HeapItem { readonly rank: number }

const ranks = fc.array(fc.nat(50), { maxLength: 60 })
const byRank = (a: Item, b: Item): boolean => a.rank < b.rank
const inOrder = (items: readonly Item[]): number[] => items.map(({ rank }) => rank).sort((a, b) => a - b)

t.test('what is in a heap comes out in its order, whatever is taken out in between', async (t) => {
  fc.assert(fc.property(ranks, ranks, ranks, (first, second, third) => {
    const heap = new Heap<Item>(byRank)
    const [left, removed, more] = [first, second, third].map((ranks) => ranks.map((rank) => ({ rank, slot: -1 })))
    for (let i = 0; i < first.length + second.length; i++) {
      for (const items of [left, removed]) if (i < items.length) heap.push(items[i])
    }
    for (const item of removed) if (!heap.remove(item)) throw new Error('it was there')
    for (const item of removed) if (heap.remove(item)) throw new Error('it is there still')
    for (const item of more) heap.push(item)
    t.strictSame(drained(heap), inOrder([...left, ...more]))
    return heap.first === undefined && heap.shift() === undefined
  }))
})

t.test('what is retained stays in order', async (t) => {
  fc.assert(fc.property(ranks, fc.nat(50), (ranks, most) => {
    const heap = new Heap<Item>(byRank)
    for (const rank of ranks) heap.push({ rank, slot: -1 })
    heap.retain(({ rank }) => rank <= most)
    const rest = drained(heap)
    t.strictSame(rest, ranks.filter((rank) => rank <= most).sort((a, b) => a - b))
  }))
})

function drained (heap: Heap<Item>): number[] {
  const items: number[] = []
  for (let item = heap.shift(); item !== undefined; item = heap.shift()) items.push(item.rank)
  return items
}
