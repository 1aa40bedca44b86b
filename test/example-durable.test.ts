import t from 'tap'
import { order, startExample, timelineOf } from './helpers/example'
import { needsRedis, startRedis } from './helpers/redis'

t.setTimeout(180_000)

t.test('durable.ts: a server is killed in mid-task, and when it is there again the mail arrives, once', async (t) => {
  const example = startExample(t, 'durable.ts')
  const { stdout, ...ending } = await example.ended
  t.strictSame(ending, { code: 0, signal: null, stderr: '' }, 'ends well', { stdout })
  t.strictSame(example.leftovers(), [])
  const parts = timelineOf(stdout)

  t.strictSame(order(parts.get('A server with a journal')!), ['request', 'reply', 'send-email ┬', 'send-email ×'])
  const again = parts.get('The same server, started again')!
  t.strictSame(order(again), ['send-email ┬', 'mailbox', 'send-email ┴'])
  t.match(again[1].what, '"Welcome" to ada@example.com')
})

const test = needsRedis()

test('fleet/: a worker is killed in mid-task, and the other does its work', async (t) => {
  const example = startExample(t, 'fleet/index.ts')
  const { stdout, ...ending } = await example.ended
  t.strictSame(ending, { code: 0, signal: null, stderr: '' }, 'ends well', { stdout })
  t.strictSame(example.leftovers(), [])
  const rows = timelineOf(stdout).get('A web process and two workers')!
  const [, lost] = /is killed, and had (image-\d\.png)/.exec(stdout)!

  t.equal(rows.filter(({ who, mark }) => who === 'resize' && mark === '┴').length, 6)
  t.match(rows.filter(({ what }) => what.includes(lost)).map(({ what }) => what),
    [`worker 1 has ${lost}`, `worker 1 is killed, and had ${lost}`, `worker 2 has ${lost}`])
})

test('fleet/board.ts: the board shows the queue', async (t) => {
  const redis = await startRedis(t)
  process.env.REDIS_URL = redis.url
  const board = startExample(t, 'fleet/board.ts')
  delete process.env.REDIS_URL
  const [url] = await board.prints(/http:\S+/)
  const page = await fetch(url)
  t.equal(page.status, 200)
  t.match(await page.text(), /<html/)
  const { queues } = await (await fetch(`${url}/api/queues`)).json() as { queues: Array<{ name: string }> }
  t.strictSame(queues.map(({ name }) => name), ['fleet'])
  board.terminate()
  const { stdout, ...ending } = await board.ended

  t.strictSame(ending, { code: 0, signal: null, stderr: '' }, 'ends well', { stdout })
})
