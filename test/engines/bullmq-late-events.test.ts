import type { IQueueBackend, PgPool } from 'bullmq'
import t, { type Test } from 'tap'
import { readLateEvents } from '../../lib/engines/bullmq-late-events'

type Read = Awaited<ReturnType<IQueueBackend['readEvents']>>

/** The ids that PostgreSQL shows, as they come to be seen; and a clock. */
function aQueue (t: Pick<Test, 'intercept'>, start: string): {
  shown: Set<number>, pass: (ms: number) => void, read: () => Promise<string[]>, asked: unknown[][]
} {
  let now = 1_000_000
  t.intercept(Date, 'now', { value: () => now, configurable: true })
  const shown = new Set<number>()
  const asked: unknown[][] = []
  const entries = (ids: number[]): Read => [['events', ids.map((id) => [String(id), ['event', 'active', 'jobId', `job-${id}`]])]]
  const backend = {
    async readEvents (id: string) {
      const ids = [...shown].filter((shownId) => shownId > Number(id)).sort((a, b) => a - b)
      return ids.length === 0 ? null : entries(ids)
    }
  } as unknown as IQueueBackend
  const pool = {
    async query (_sql: string, [, ...values]: unknown[]) {
      asked.push(values)
      if (Array.isArray(values[0])) return { rows: values[0].map((id) => ({ id: String(id), event: 'active', data: { jobId: `job-${String(id)}` } })) }
      const [oldest, newest] = values as number[]
      return { rows: [...shown].filter((id) => id > oldest && id < newest).map((id) => ({ id: String(id) })) }
    }
  } as unknown as PgPool
  readLateEvents(backend, pool, 'queue')
  let last = start
  return {
    shown,
    asked,
    pass: (ms) => { now += ms },
    async read () {
      const ids = ((await backend.readEvents(last, 1))?.[0][1] ?? []).map(([id, fields]) => `${id} ${fields[3]}`)
      last = ids.at(-1)?.split(' ')[0] ?? last
      return ids
    }
  }
}

t.test('an event that is shown after one with a higher id is read, once, and none is read twice', async (t) => {
  const { shown, read, pass } = aQueue(t, '0')
  shown.add(2).add(5)
  t.strictSame(await read(), ['2 job-2', '5 job-5'])
  shown.add(3).add(6)
  pass(1_000)
  t.strictSame(await read(), ['3 job-3', '6 job-6'])
  shown.add(4)
  pass(1_000)
  t.strictSame(await read(), ['4 job-4'])
  shown.add(1)
  pass(1_000)
  t.strictSame(await read(), ['1 job-1'])
  pass(1_000)
  t.strictSame(await read(), [])
})

t.test('events are not looked for before the first one, nor again within a moment', async (t) => {
  const { shown, read, asked } = aQueue(t, '7')
  shown.add(6).add(8)
  t.strictSame(await read(), ['8 job-8'])
  shown.add(9)
  t.strictSame(await read(), ['9 job-9'])
  t.equal(asked.length, 1)
})

t.test('what was read long ago is forgotten, and nothing is looked for behind it', async (t) => {
  const { shown, read, pass, asked } = aQueue(t, '0')
  shown.add(5)
  await read()
  pass(4_000)
  shown.add(8)
  await read()
  pass(2_000)
  await read()
  pass(1_000)
  shown.add(4).add(7)

  t.strictSame(await read(), ['7 job-7'])
  t.strictSame(asked.at(-2), [5, 8])
  pass(6_000)
  await read()
  pass(1_000)
  await read()
  t.strictSame(asked.at(-1), [8, 8])
})
