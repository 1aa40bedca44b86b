import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import t from 'tap'
import './helpers/dashboard'
import { startExample } from './helpers/example'

t.setTimeout(120_000)

t.test('example/dashboard.ts: the page is for who has the password, shows its tasks, and is closed by SIGTERM', async (t) => {
  const example = startExample(t, 'dashboard.ts')
  const [, url, password] = await example.prints(/at (\S+) .*\n.*password (\S+)/)
  t.equal((await fetch(url)).status, 401)
  const headers = { authorization: `Basic ${Buffer.from(`ada:${password}`).toString('base64')}` }
  t.match(await (await fetch(url, { headers })).text(), '<title>Background tasks</title>')
  // `fetch` would open another connection in place of this one, and hold up the close with it.
  const [feed] = await once(get(`${url}feed`, { headers, agent: false }), 'response') as [IncomingMessage]
  let text = ''
  for await (const chunk of feed.setEncoding('utf8')) {
    text += chunk
    if (text.includes('"buildReport"')) break
  }
  t.match(text, /"buildReport"/)
  example.terminate()
  const { code, stderr } = await example.ended
  t.strictSame([code, stderr], [0, ''])
  t.strictSame(example.leftovers(), [])
})
