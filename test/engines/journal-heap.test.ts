import fc from 'fast-check'
import t from 'tap'
import { Heap, type HeapItem } from '../../lib/engines/journal-heap'

interface Item extends HeapItem { readonly rank: number }

const steps = fc.array(fc.record({
  step: fc.constantFrom('push', 'push', 'push', 'push', 'push', 'remove', 'remove', 'shift'),
  rank: fc.integer({ min: 0, max: 50 })
}), { maxLength: 200 })

t.test('a heap has first what is before all others, whatever was put in and taken out', async (t) => {
  fc.assert(fc.property(steps, (steps) => {
    const heap = new Heap<Item>((a, b) => a.rank < b.rank)
    let items: Item[] = []
    for (const { step, rank } of steps) {
      const item = items.find((item) => item.rank === rank)
      if (step === 'push') {
        items.push({ rank, slot: -1 })
        heap.push(items.at(-1)!)
      } else if (step === 'shift') {
        const first = heap.shift()
        if (first?.rank !== lowest(items)) return false
        items = items.filter((item) => item !== first)
      } else if (item !== undefined) {
        items = items.filter((other) => other !== item)
        heap.remove(item)
        // It is there no longer.
        heap.remove(item)
      }
      if (heap.first?.rank !== lowest(items)) return false
    }
    heap.clear()
    return heap.shift() === undefined
  }))
  t.pass()
})

t.test('what is not in a heap is not taken out of it', async (t) => {
  const [heap, other] = [new Heap<Item>((a, b) => a.rank < b.rank), new Heap<Item>((a, b) => a.rank < b.rank)]
  const [first, second] = [{ rank: 1, slot: -1 }, { rank: 2, slot: -1 }]
  heap.push(first)
  other.push(second)

  heap.remove(second)
  t.equal(heap.shift(), first)
  t.equal(heap.shift(), undefined)
})

function lowest (items: readonly Item[]): number | undefined {
  return items.length === 0 ? undefined : Math.min(...items.map(({ rank }) => rank))
}
