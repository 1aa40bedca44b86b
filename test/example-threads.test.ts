import t from 'tap'
import { startExample } from './helpers/example'

t.setTimeout(180_000)

t.test('threads.ts: pictures are made smaller, in the event loop and in threads, while the server answers', async (t) => {
  const example = startExample(t, 'threads.ts')
  const { stdout, ...ending } = await example.ended
  t.strictSame(ending, { code: 0, signal: null, stderr: '' }, 'ends well', { stdout })
  t.match(stdout, /^p99 of GET \/hello.*\n +nothing else to do +\d+\.\d ms\n +in the event loop +\d+\.\d ms\n +in threads +\d+\.\d ms\n$/)
})
