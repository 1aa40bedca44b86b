import { gzipSync } from 'node:zlib'
import t from 'tap'
import { createDashboard } from '../helpers/dashboard'

const FILES = { '': 'text/html; charset=utf-8', 'page.js': 'text/javascript; charset=utf-8', 'page.css': 'text/css; charset=utf-8', 'icon.svg': 'image/svg+xml' }

t.test('its files are served, each with its type', async (t) => {
  const app = await createDashboard(t)
  for (const [name, type] of Object.entries(FILES)) {
    const { statusCode, headers } = await app.inject(`/background/${name}`)
    t.equal(statusCode, 200)
    t.equal(headers['content-type'], type)
    t.equal(headers['cache-control'], 'no-cache')
  }
})

t.test('the page weighs less than 100 kB, gzipped', async (t) => {
  const app = await createDashboard(t)
  let bytes = 0
  for (const name of Object.keys(FILES)) bytes += gzipSync((await app.inject(`/background/${name}`)).rawPayload).length
  t.ok(bytes < 100_000, `${bytes} bytes`)
  t.ok(bytes > 10_000, 'it is there')
})

t.test('every answer has a policy that lets no inline script run, and no request leave for another host', async (t) => {
  const app = await createDashboard(t)
  for (const path of ['', 'page.js', 'runs?list=running', 'runs/none', 'runs']) {
    const { headers } = await app.inject(`/background/${path}`)
    t.equal(headers['content-security-policy'], "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
      "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'", path)
    t.match(headers, { 'x-content-type-options': 'nosniff', 'x-frame-options': 'DENY', 'referrer-policy': 'no-referrer' })
  }
})

t.test('the page has neither inline scripts nor inline styles, and names no other host', async (t) => {
  const app = await createDashboard(t)
  const { body } = await app.inject('/background/')
  t.notMatch(body, /<script(?![^>]* src=)|<style|\son\w+=|style=/)
  t.notMatch(body, /(?:src|href)="(?:https?:|\/)/)
})

t.test('a path without its slash is sent to the one with it, by a relative address', async (t) => {
  for (const server of [{}, { routerOptions: { ignoreTrailingSlash: true } }]) {
    const app = await createDashboard(t, { server })
    const { statusCode, headers } = await app.inject('/background?x=1')
    t.equal(statusCode, 308)
    t.equal(headers.location, 'background/')
    t.equal((await app.inject('/background/')).statusCode, 200)
  }
})

t.test('so it is behind rewriteUrl, by the address that the browser has', async (t) => {
  const app = await createDashboard(t, { server: { rewriteUrl: ({ url }) => url!.replace(/^\/admin/, '/background') } })
  t.equal((await app.inject('/admin')).headers.location, 'admin/')
  t.equal((await app.inject('/admin/')).statusCode, 200)
})

t.test('a file that the browser has is not sent again', async (t) => {
  const app = await createDashboard(t)
  const { headers: { etag } } = await app.inject('/background/page.js')
  const again = await app.inject({ url: '/background/page.js', headers: { 'if-none-match': etag as string } })
  t.equal(again.statusCode, 304)
  t.equal(again.body, '')
  t.equal((await app.inject({ url: '/background/page.js', headers: { 'if-none-match': '"other"' } })).statusCode, 200)
})

t.test('there is no HEAD, which would open a feed without an end', async (t) => {
  const app = await createDashboard(t)
  for (const path of ['', 'feed', 'runs']) t.equal((await app.inject({ method: 'HEAD', url: `/background/${path}` })).statusCode, 404)
})

t.test('serializers of the application change nothing of the data', async (t) => {
  const app = await createDashboard(t, {
    before (app) {
      app.addHook('preSerialization', async (_request, _reply, payload) => ({ wrapped: payload }))
      app.get('/other', async () => ({}))
    }
  })
  t.strictSame((await app.inject('/other')).json(), { wrapped: {} })
  t.strictSame((await app.inject('/background/runs?list=running')).json(), { runs: [], more: false })
})
